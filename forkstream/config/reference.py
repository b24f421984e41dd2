"""What a settings struct can be told, as rows for people and machines: from the same declaration that checks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from forkstream.config.hint import Hint
from forkstream.config.overrides import fold


class Setting(msgspec.Struct, frozen=True):
    """One setting of a plugin or of the config itself."""

    name: str
    """Dotted, where it is a setting of a setting; ``<name>`` and ``<n>`` stand for an entry of a mapping and of a list."""
    expected: str
    required: bool
    required_within: str
    """The setting that may be left out and with it this one; empty if there is none, or if this one may always be left out."""
    default: str
    """As it would be written; empty for a required setting, and where nothing at all is the default."""
    units: list[str]
    """The units that a quantity may have; empty for anything else."""
    description: str
    variable: str
    """The environment variable that overrides it; empty where there is none."""


def reference(type_: type[msgspec.Struct], variable: str, prefix: str = "", within: str = "") -> Iterator[Setting]:
    """List a struct's settings, the required first, those of the structs within a setting below it.

    ``variable`` names the struct itself, ``within`` the setting with which all of it may be left out.
    """
    for field in sorted(msgspec.structs.fields(type_), key=lambda field: not field.required):
        hint = Hint(field.type)
        name, below = f"{prefix}{field.encode_name}", variable and f"{variable}__{fold(field.encode_name)}"
        structs = [option.struct for option in hint.options if option.struct]
        if not structs or len(hint.options) > 1:
            yield Setting(
                name=name,
                expected=hint.expected(),
                required=field.required and not within,
                required_within=within if field.required else "",
                default=_default(field, hint),
                units=[unit for option in hint.options if option.quantity for unit in option.quantity.units],
                description=hint.description or (_first_line(structs[0]) if structs else ""),
                variable=below,
            )
        outer = within if field.required else name
        for struct in structs:
            yield from reference(struct, below, f"{name}.", outer)
        for part, word in _parts(hint):
            yield from reference(part, "", f"{name}.{word}.", name)


def _parts(hint: Hint) -> Iterator[tuple[type[msgspec.Struct], str]]:
    """The structs that the entries of a list or a mapping are, and the word for such an entry."""
    for option in hint.options:
        parts = [(option.item, "<n>")] if option.item else [(option.entry[1], "<name>")] if option.entry else []
        for part, word in parts:
            yield from ((each.struct, word) for each in part.options if each.struct)


def _default(field: msgspec.structs.FieldInfo, hint: Hint) -> str:
    value: Any = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT or value is None:
        return ""
    if hint.secret:
        return "********"
    return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, msgspec.Struct):
        return "{" + ", ".join(f"{name}: {_written(getattr(value, name))}" for name in value.__struct_fields__) + "}"
    if isinstance(value, list | tuple | frozenset):
        return "[" + ", ".join(_written(each) for each in value) + "]"
    return str(getattr(value, "value", value))


def _first_line(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").strip().split("\n")[0]
