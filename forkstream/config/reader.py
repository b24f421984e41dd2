"""Reads a config's tree into settings structs, field by field, so that every problem is found at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from forkstream.config.hint import Hint
from forkstream.config.model import Step
from forkstream.config.overrides import Overrides
from forkstream.config.problem import Place, Problems, did_you_mean
from forkstream.config.scalar import MisfitError, convert, found, rank
from forkstream.config.tree import Items, Node, Scalar, Table, parse
from forkstream.config.variables import UnresolvedError, expand
from forkstream.errors import PluginError
from forkstream.registry import Registry

INVALID: Final = object()
"""What stands for a value that could not be read; why is among the problems."""


class Spot(msgspec.Struct, frozen=True):
    """A setting's place: what the file says there, if anything, and what the environment says over it."""

    path: str
    node: Node | None
    overrides: Overrides
    place: Place

    @property
    def given(self) -> bool:
        """Whether the file or the environment says anything here."""
        return self.node is not None or next(self.overrides.leaves(), None) is not None

    def below(self, name: str, path: str, node: Node | None) -> Spot:
        """The spot of a part of this setting; ``name`` is what an override calls it."""
        overrides = self.overrides.child(name) or self.overrides.below(name)
        return Spot(path, node, overrides, node.place if node else self.place)


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from. ``written`` is what stood there before its variables were replaced, empty if that is the value."""

    place: Place
    written: str = ""
    secret: bool = False


def _no_references(_: str) -> str:
    raise UnresolvedError("cannot be used here")


class Reader:
    """Reads values of any type that a settings struct may declare. ``lookup`` gives what a reference stands for.

    ``seen`` keeps each struct and step by its path, ``origins`` where each value came from that is no default.
    """

    def __init__(
        self,
        registry: Registry,
        environ: Mapping[str, str],
        problems: Problems,
        lookup: Callable[[str], str] = _no_references,
    ) -> None:
        self.problems = problems
        self.seen: dict[str, tuple[object, Place]] = {}
        self.origins: dict[str, Origin] = {}
        self._registry = registry
        self._environ = environ
        self._lookup = lookup

    def read(self, hint: Hint, spot: Spot) -> Any:
        """Read one setting; :data:`INVALID` if it has a problem."""
        node = self._resolved(hint, spot)
        if node is INVALID:
            return INVALID
        spot = Spot(spot.path, node, spot.overrides, node.place if node else spot.place)
        self.origins[spot.path] = Origin(spot.place)
        if isinstance(node, Scalar):
            self.origins[spot.path] = Origin(node.place, node.written or "", node.secret or hint.secret)
        value = self._option(hint, spot)
        if value is INVALID or hint.accepts(value):
            return value
        if not isinstance(value, list | tuple | dict | frozenset):
            return self._misfit(hint, spot)
        about = f" ({hint.description})" if hint.description else ""
        found = f"found {len(value)}" if value else f"but it is empty{about}"
        self.problems.add(spot.place, spot.path, f"expected {hint.limits}, {found}")
        return INVALID

    def _resolved(self, hint: Hint, spot: Spot) -> Any:
        """What stands here once the environment has had its say."""
        node = spot.overrides.scalar() or spot.node
        if isinstance(node, Scalar) and node.written is None:
            expansion = expand(node.text, self._environ, self._lookup)
            for message in expansion.problems:
                self.problems.add(node.place, spot.path, message)
            if expansion.problems:
                return INVALID
            written = node.text if expansion.found else None
            plain = node.plain or expansion.found
            node = Scalar(expansion.text, plain, node.place, written, secret=bool(expansion.secrets))
            self.problems.secrets.update(expansion.secrets)
        if isinstance(node, Scalar) and (node.secret or hint.secret) and not node.nothing:
            self.problems.secrets.add(node.text)
        if (
            isinstance(node, Scalar)
            and node.written is not None
            and not node.secret  # one text, whatever it looks like
            and node.text.startswith(("[", "{"))
            and (hint.compound or hint.free)
        ):
            parsed = parse(node.text, node.place.file, self.problems, at=node.place)
            return INVALID if parsed is None else parsed
        return node

    def _option(self, hint: Hint, spot: Spot) -> Any:
        """Read a union's value as the first option that takes it."""
        fitting = [option for option in hint.options if _fits(option, spot.node, hint)]
        if not fitting:
            if spot.node is None:  # overrides of parts that it cannot have
                spot.overrides.report_unknown((), spot.path, self.problems)
                return INVALID
            return self._misfit(hint, spot)
        scalar = isinstance(spot.node, Scalar) and not any(option.compound for option in fitting)
        if scalar:
            spot.overrides.report_unknown((), spot.path, self.problems)
        trials: list[Problems] = []
        outer = self.problems
        for option in sorted(fitting, key=rank):
            self.problems = outer.trial()
            value = self._one(option, spot)
            trials.append(self.problems)
            self.problems = outer
            if not trials[-1]:
                return value
        if scalar:
            return self._misfit(hint, spot)
        self.problems.take(min(trials, key=len))
        return INVALID

    def _one(self, hint: Hint, spot: Spot) -> Any:
        if hint.kind:
            return self._step(hint, spot)
        if hint.struct:
            return self._struct(hint.struct, spot)
        if hint.item or isinstance(spot.node, Items):
            return self._list(hint, spot)
        if hint.entry or isinstance(spot.node, Table):
            return self._table(hint, spot)
        assert isinstance(spot.node, Scalar)  # noqa: S101  # the only kind of node that is left
        try:
            value = convert(hint, spot.node)
        except MisfitError:
            return self._misfit(hint, spot)
        return value if hint.accepts(value) else self._misfit(hint, spot)

    def _struct(self, type_: type[msgspec.Struct], spot: Spot) -> Any:
        table = _table_of(spot)
        try:
            fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
        except (NameError, TypeError) as error:  # the plugin's bug: an annotation that cannot be resolved
            self.problems.add(spot.place, spot.path, f"its settings {type_.__name__} cannot be understood: {error}")
            return INVALID
        for name in table.entries.keys() - fields.keys():
            near = did_you_mean(name, fields) or f"; known: {', '.join(fields) or 'none'}"
            self.problems.add(table.keys[name], _join(spot.path, name), f"no such setting{near}")
        spot.overrides.report_unknown(fields, spot.path, self.problems)
        values: dict[str, Any] = {}
        for name, field in fields.items():
            below = spot.below(name, _join(spot.path, name), table.entries.get(name))
            hint = Hint(field.type)
            if below.given:
                values[field.name] = self.read(hint, below)
            elif field.required:
                about = f" ({hint.description})" if hint.description else ""
                self.problems.add(below.place, below.path, f"is required: expected {hint.expected()}{about}")
                values[field.name] = INVALID
        if INVALID in values.values():
            return INVALID
        return self._built(type_, values, spot)

    def _built(self, type_: type[msgspec.Struct], values: dict[str, Any], spot: Spot) -> Any:
        try:
            value = type_(**values)
        except (ValueError, TypeError) as error:  # a __post_init__ that refuses a combination
            self.problems.add(spot.place, spot.path, str(error))
            return INVALID
        self.seen[spot.path] = (value, spot.place)
        return value

    def _list(self, hint: Hint, spot: Spot) -> Any:
        nodes = spot.node.items if isinstance(spot.node, Items) else []
        spot.overrides.report_unknown([str(index) for index in range(len(nodes))], spot.path, self.problems)
        values = [
            self.read(hint.item or hint, spot.below(str(index), f"{spot.path}[{index}]", node))
            for index, node in enumerate(nodes)
        ]
        return INVALID if any(value is INVALID for value in values) else hint.collect(values)

    def _table(self, hint: Hint, spot: Spot) -> Any:
        table = _table_of(spot)
        key, value = hint.entry or (Hint(str), hint)
        spot.overrides.report_unknown(table.entries, spot.path, self.problems)
        values: dict[str, Any] = {}
        for name, node in table.entries.items():
            path = _join(spot.path, name)
            if not key.accepts(name):
                self.problems.add(
                    table.keys[name], path, f"expected {key.description or f'a name of {key.limits}'}, found {name}"
                )
                values[name] = INVALID
            values[name] = self.read(value, spot.below(name, path, node))
        return INVALID if any(each is INVALID for each in values.values()) else values

    def _step(self, hint: Hint, spot: Spot) -> Any:
        """Read a plugin's name and, once the plugin is loaded, its settings."""
        assert hint.kind  # noqa: S101  # what makes it a step
        match spot.node:
            case Scalar(text=name, place=place):
                settings: Node = Table({}, {}, place)
            case Table(entries=entries, keys=keys) if len(entries) == 1:
                ((name, settings),) = entries.items()
                place = keys[name]
            case _:
                names = ", ".join(_table_of(spot).entries) or "none"
                self.problems.add(
                    spot.place,
                    spot.path,
                    f"expected one {hint.kind.value} by name, with its settings indented below it, found {names}",
                )
                return INVALID
        try:
            plugin = self._registry.find(hint.kind, name)
        except PluginError as error:
            self.problems.add(place, spot.path, str(error))
            return INVALID
        spot.overrides.report_unknown([name], spot.path, self.problems)
        path = f"{spot.path}.{name}"
        value = self.read(Hint(plugin.settings_type()), spot.below(name, path, settings))
        step = Step(hint.kind, name, path, plugin, None if value is INVALID else value)
        self.seen[path] = (step, place)
        self.origins[path] = Origin(place)
        return step

    def _misfit(self, hint: Hint, spot: Spot) -> Any:
        match spot.node:
            case Scalar() as scalar:
                text = "********" if hint.secret else found(scalar)
                choices = [choice for option in hint.options for choice in option.choices or ()]
                near = "" if scalar.secret or hint.secret else did_you_mean(scalar.text, choices)
            case Items():
                text, near = "a list", ""
            case _:
                text, near = "a mapping", ""
        self.problems.add(spot.place, spot.path, f"expected {hint.expected()}, found {text}{near}")
        return INVALID


def _fits(option: Hint, node: Node | None, union: Hint) -> bool:
    """Whether a node of this kind can be a value of this type at all; nothing stands for an empty mapping or list."""
    match node:
        case Scalar():
            if option.kind:
                return not node.nothing
            return not option.compound or (node.nothing and not union.optional)
        case Items():
            return option.free or option.item is not None
        case Table():
            return option.free or option.struct is not None or option.entry is not None or option.kind is not None
        case None:
            return option.compound


def _table_of(spot: Spot) -> Table:
    return spot.node if isinstance(spot.node, Table) else Table({}, {}, spot.place)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
