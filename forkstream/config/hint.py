"""A setting's type hint taken apart, and said in words: the one place that knows which types a settings struct may use."""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Mapping, Sequence, Sized
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from forkstream.registry import Kind
from forkstream.settings import Duration, Rate, Secret, Size

_LISTS = (list, tuple, frozenset, Sequence)
_TABLES = (dict, Mapping)
_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    str: "text",
    Path: "a path",
    types.NoneType: "nothing",
}


class Hint:
    """One type as a settings struct declares it. ``core`` is the type without its annotations."""

    def __init__(self, declared: Any) -> None:
        self.metas: list[Meta] = []
        self.kind: Kind | None = None
        """For a plugin's place: which kind of plugin stands there."""
        self.core: Any = declared
        if get_origin(declared) is Annotated:
            self.core, *annotations = get_args(declared)
            self.metas = [each for each in annotations if isinstance(each, Meta)]
            self.kind = next((each for each in annotations if isinstance(each, Kind)), None)

    @cached_property
    def options(self) -> list[Hint]:
        """What a union is made of; the hint alone where it is none."""
        if get_origin(self.core) in (Union, types.UnionType):
            return [Hint(option) for option in get_args(self.core)]
        return [self]

    @property
    def optional(self) -> bool:
        """Whether nothing at all is a value of it."""
        return any(option.core is types.NoneType for option in self.options)

    @property
    def secret(self) -> bool:
        """Whether a value of it must be masked."""
        return any(isinstance(option.core, type) and issubclass(option.core, Secret) for option in self.options)

    @property
    def free(self) -> bool:
        """Whether it takes anything, as ``Any`` does."""
        return self.core in (Any, object) or isinstance(self.core, ForwardRef | str)

    @property
    def struct(self) -> type[msgspec.Struct] | None:
        """The settings struct that it is, if it is one."""
        return (
            self.core
            if isinstance(self.core, type) and issubclass(self.core, msgspec.Struct) and not self.kind
            else None
        )

    @property
    def quantity(self) -> type[Duration | Size | Rate] | None:
        """The quantity that it is, if it is one."""
        return self.core if isinstance(self.core, type) and issubclass(self.core, Duration | Size | Rate) else None

    @property
    def choices(self) -> dict[str, object] | None:
        """What may be written for a Literal or an Enum, with what it stands for."""
        if get_origin(self.core) is Literal:
            return {_written(value): value for value in get_args(self.core)}
        if isinstance(self.core, type) and issubclass(self.core, enum.Enum):
            return {str(member.value): member for member in self.core}
        return None

    @property
    def item(self) -> Hint | None:
        """What a list holds, if it is a list."""
        if (get_origin(self.core) or self.core) not in _LISTS:
            return None
        return Hint(next(iter(get_args(self.core)), Any))

    @property
    def entry(self) -> tuple[Hint, Hint] | None:
        """What the names and the values of a mapping are, if it is a mapping."""
        if (get_origin(self.core) or self.core) not in _TABLES:
            return None
        key, value = get_args(self.core) or (str, Any)
        return Hint(key), Hint(value)

    @property
    def compound(self) -> bool:
        """Whether a value of it can have parts: settings, a list, a mapping, a plugin with its settings."""
        return any(option.kind or option.struct or option.item or option.entry for option in self.options)

    def collect(self, values: list[Any]) -> Any:
        """Make a list's items into what it is declared as."""
        container = get_origin(self.core) or self.core
        return container(values) if container in (tuple, frozenset) else values

    def accepts(self, value: object) -> bool:
        """Whether a value of the type is within the constraints that stand beside it."""
        return value is None or all(_within(meta, value) for meta in self.metas)

    @property
    def description(self) -> str:
        """What its declaration says that it is for."""
        metas = [*self.metas, *(meta for option in self.options for meta in option.metas)]
        return next((meta.description for meta in metas if meta.description), "")

    @property
    def limits(self) -> str:
        """Its constraints in words: ``of at least 1``."""
        words: list[str] = []
        for meta in self.metas:
            for text, limit in (
                ("at least", meta.ge), ("more than", meta.gt), ("at most", meta.le), ("less than", meta.lt),
                ("a multiple of", meta.multiple_of),
            ):  # fmt: skip
                if limit is not None:
                    words.append(f"{text} {self._said(limit)}")
            if meta.min_length is not None:
                words.append(f"length at least {meta.min_length}")
            if meta.max_length is not None:
                words.append(f"length at most {meta.max_length}")
            if meta.pattern is not None and not meta.examples:
                words.append(f"the form {meta.pattern}")
        return " and ".join(words)

    def expected(self) -> str:
        """Everything that would fit, in words."""
        texts = [option._core() for option in self.options if option.core is not types.NoneType] or ["nothing"]  # noqa: SLF001
        limits = self.limits or next((option.limits for option in self.options if option.limits), "")
        examples = [str(example) for meta in self.metas for example in meta.examples or ()]
        examples += [option.quantity.example for option in self.options if option.quantity and not examples]
        return (
            " or ".join(dict.fromkeys(texts))
            + (f" of {limits}" if limits else "")
            + (f", such as {' or '.join(examples)}" if examples else "")
        )

    def _core(self) -> str:
        if self.kind:
            return f"a {self.kind.value} such as {{name: {{setting: value}}}}"
        if self.struct:
            return f"settings ({', '.join(self.struct.__struct_encode_fields__)})"
        if self.item:
            return f"a list of {self.item.expected()}"
        if self.entry:
            return f"a mapping of names to {self.entry[1].expected()}"
        return self._scalar()

    def _scalar(self) -> str:
        if self.free:
            return "anything"
        if self.choices is not None:
            return f"one of {', '.join(self.choices)}" if len(self.choices) > 1 else next(iter(self.choices))
        if self.quantity:
            return self.quantity.expected()
        if isinstance(self.core, type) and issubclass(self.core, str):
            return "text"
        unknown = f"a {getattr(self.core, '__name__', self.core)}, which no config can hold"  # the plugin's own doing
        return next((words for type_, words in _WORDS.items() if self.core is type_), unknown)

    def _said(self, limit: float) -> str:
        """A limit in the quantity's own unit."""
        quantity = next((option.quantity for option in self.options if option.quantity), None)
        return str(quantity(limit)) if quantity else str(limit) if isinstance(limit, int) else f"{limit:g}"


def _within(meta: Meta, value: object) -> bool:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return (
            (meta.ge is None or value >= meta.ge)
            and (meta.gt is None or value > meta.gt)
            and (meta.le is None or value <= meta.le)
            and (meta.lt is None or value < meta.lt)
            and (meta.multiple_of is None or float(value) % meta.multiple_of == 0)
        )
    if isinstance(value, str) and meta.pattern is not None and not re.search(meta.pattern, value):
        return False
    if isinstance(value, Sized):
        return (meta.min_length or 0) <= len(value) and (meta.max_length is None or len(value) <= meta.max_length)
    return True


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
