"""The JSON Schema of a config: what an editor completes and checks with, from the same declarations that read it."""

from __future__ import annotations

import inspect
from decimal import Decimal
from types import NoneType
from typing import Any, TypeAlias

import msgspec
from msgspec import Meta

from forkstream.config.hint import Hint
from forkstream.config.model import ConfigFile
from forkstream.errors import PluginError
from forkstream.registry import Kind, Registry

Json: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Json = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "holds a variable: ${NAME}, ${NAME:-default}, ${file:/path}, ${ssm:/name} or ${secretsmanager:name#key}",
}
_SWITCHES = ["yes", "no", "on", "off"]  # texts to YAML 1.2, booleans to the loader
_GROUPED = {"type": "string", "pattern": r"^[-+]?[1-9][0-9]*(_[0-9]+)+(\.[0-9]+)?$"}  # 10_000, a text to YAML 1.2


class ConfigSchema:
    """Describes a whole config with every plugin on offer, in JSON Schema 2020-12.

    It takes all that the loader takes and refuses what can be told from a value alone; combinations are the loader's.
    A setting may be required here that the environment sets (``FORKSTREAM_…``).
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._definitions: Json = {}
        self._names: dict[type[msgspec.Struct], str] = {}

    def build(self) -> Json:
        """Give the schema, ready to be encoded."""
        self._definitions["variable"] = _VARIABLE
        root = self._struct(ConfigFile)
        for kind in Kind:
            self._definitions[kind.value] = self._step(kind)
        return {
            "$schema": DIALECT,
            "title": "forkstream's config",
            **root,
            "$defs": dict(sorted(self._definitions.items())),
        }

    def _step(self, kind: Kind) -> Json:
        """One plugin by name with its settings, or its name alone if it needs none."""
        plugins: Json = {}
        bare: list[str] = []
        for name in self._registry.names(kind):
            try:
                plugin = self._registry.find(kind, name)
                settings = plugin.settings_type()
                required = any(field.required for field in msgspec.structs.fields(settings))
                plugins[name] = {**self._nested(settings), "description": _summary(plugin)}
            except (PluginError, NameError, TypeError) as error:  # the last two: its settings cannot be understood
                plugins[name] = {"description": f"cannot be used: {error}"}
                continue
            if not required:
                bare.append(name)
        with_settings = {
            "type": "object",
            "properties": plugins,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        }
        return {"description": f"one {kind.value} by name", "oneOf": [with_settings, {"enum": bare}, _ref("variable")]}

    def _nested(self, struct: type[msgspec.Struct]) -> Json:
        """Refer to a struct, which is described once; nothing at all is one if it needs nothing."""
        if struct not in self._names:
            namesakes = sum(other.__name__ == struct.__name__ for other in self._names)
            self._names[struct] = f"{struct.__name__}{namesakes + 1 if namesakes else ''}"
            self._definitions[self._names[struct]] = self._struct(struct)
        options = [_ref(self._names[struct]), _ref("variable")]
        if not any(field.required for field in msgspec.structs.fields(struct)):
            options.append({"type": "null"})
        return {"anyOf": options}

    def _struct(self, struct: type[msgspec.Struct]) -> Json:
        fields = msgspec.structs.fields(struct)
        schema: Json = {
            "type": "object",
            "description": _summary(struct),
            "properties": {field.encode_name: self._field(field) for field in fields},
            "additionalProperties": False,
        }
        required = [field.encode_name for field in fields if field.required]
        return {**schema, "required": required} if required else schema

    def _field(self, field: msgspec.structs.FieldInfo) -> Json:
        hint = Hint(field.type)
        schema = self._value(hint)
        expected = "" if hint.compound else f"Expected: {hint.expected()}"
        structs = [_summary(option.struct) for option in hint.options if option.struct]
        said = ". ".join(part for part in (hint.description or "".join(structs[:1]), expected) if part)
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        shown = None if hint.secret else _written(default)
        return {**schema, "description": said, **({} if shown is None else {"default": shown})}

    def _value(self, hint: Hint) -> Json:
        """Describe a type: each option of a union, nothing at all where it may be that, and a text with a variable."""
        options: list[Json] = []
        for option in hint.options:
            options += self._option(option, [*option.metas, *hint.metas])
        if {} in options:  # anything fits
            return {}
        if hint.optional and {"type": "null"} not in options:
            options.append({"type": "null"})
        if _ref("variable") not in options:
            options.append(_ref("variable"))
        return {"anyOf": [each for number, each in enumerate(options) if each not in options[:number]]}

    def _option(self, option: Hint, metas: list[Meta]) -> list[Json]:
        if option.kind:
            return [_ref(option.kind.value)]
        if option.struct:
            nested: list[Json] = self._nested(option.struct)["anyOf"]
            return nested
        if option.item:
            array = {"type": "array", "items": self._value(option.item), **_limits(metas, "Items")}
            return [array] if "minItems" in array else [array, {"type": "null"}]
        if option.entry:
            mapping = self._mapping(*option.entry, metas)
            return [mapping] if "minProperties" in mapping else [mapping, {"type": "null"}]
        return _scalar(option, metas)

    def _mapping(self, key: Hint, value: Hint, metas: list[Meta]) -> Json:
        names = _limits(key.metas, "Length")
        schema: Json = {"type": "object", "additionalProperties": self._value(value), **_limits(metas, "Properties")}
        return {**schema, "propertyNames": names} if names else schema


def _scalar(option: Hint, metas: list[Meta]) -> list[Json]:
    if option.free:
        return [{}]
    if option.choices is not None:
        return [{"enum": [getattr(choice, "value", choice) for choice in option.choices.values()]}]
    if option.quantity:
        pattern = rf"^\s*[0-9]+(\.[0-9]+)?\s*({'|'.join(option.quantity.units)})\s*$"
        return [{"type": "string", "pattern": pattern, "examples": [option.quantity.example]}]
    return _plain(option.core, metas)


def _plain(core: object, metas: list[Meta]) -> list[Json]:
    if core is bool:
        return [{"type": "boolean"}, {"enum": _SWITCHES}]
    if core in (int, float, Decimal):
        return [{"type": "integer" if core is int else "number", **_limits(metas, "")}, _GROUPED]
    if core is NoneType:
        return [{"type": "null"}]
    # whatever stands there without quotes is taken as text
    return [{"type": ["string", "number", "boolean"], **_limits(metas, "Length")}]


def _limits(metas: list[Meta], counted: str) -> Json:
    """Say the constraints of a number (``counted`` is empty), or of what has a length: in characters, items or names."""
    found: Json = {}
    for meta in metas:
        if counted:
            found |= {f"min{counted}": meta.min_length, f"max{counted}": meta.max_length} | found
        else:
            found |= {
                "minimum": meta.ge, "exclusiveMinimum": meta.gt, "maximum": meta.le, "exclusiveMaximum": meta.lt,
                "multipleOf": meta.multiple_of,
            } | found  # fmt: skip
        if (
            counted == "Length" and meta.pattern is not None and "(?P" not in meta.pattern
        ):  # editors know no such groups
            found.setdefault("pattern", meta.pattern)
    return {name: limit for name, limit in found.items() if limit is not None}


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _summary(documented: type) -> str:
    """The first paragraph of its docstring, on one line."""
    paragraph = inspect.cleandoc(documented.__dict__.get("__doc__") or "").partition("\n\n")[0]
    return " ".join(paragraph.split())


def _written(value: Any) -> Any:
    """A default as it would be written; None for a required setting, and where the default is nothing or settings."""
    match value:
        case bool() | None:
            return value
        case msgspec.Struct() | msgspec.UnsetType() | dict():
            return None
        case list() | tuple() | frozenset():
            written = [_written(each) for each in value]
            return None if None in written else written
        case int() | float() if type(value) in (int, float):
            return value
        case _:
            return None if value is msgspec.NODEFAULT else str(getattr(value, "value", value))
