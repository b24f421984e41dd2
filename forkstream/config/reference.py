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
    """Dotted, where it is a setting of a setting."""
    expected: str
    required: bool
    default: str
    """As it would be written; empty for a required setting, and where nothing at all is the default."""
    description: str
    variable: str
    """The environment variable that overrides it."""


def reference(type_: type[msgspec.Struct], variable: str, prefix: str = "") -> Iterator[Setting]:
    """List a struct's settings, those of the structs within it below them. ``variable`` names the struct itself."""
    for field in msgspec.structs.fields(type_):
        hint = Hint(field.type)
        name, below = f"{prefix}{field.encode_name}", f"{variable}__{fold(field.encode_name)}"
        structs = [option.struct for option in hint.options if option.struct]
        if not structs or len(hint.options) > 1:
            description = hint.description or (_first_line(structs[0]) if structs else "")
            yield Setting(name, hint.expected(), field.required, _default(field, hint), description, below)
        for struct in structs:
            yield from reference(struct, below, f"{name}.")


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
