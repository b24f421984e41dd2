"""What a config comes to: every value that holds, and where it is from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from forkstream.config.loading import Config
from forkstream.config.model import Step
from forkstream.config.plan import Plan
from forkstream.config.problem import masked
from forkstream.settings import Duration, Quantity, Secret, Size

_MASK = "********"
_VARIABLES = re.compile(r"\$\{[^{}]*\}")
_DEFAULT = re.compile(r":-[^}]*")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class EffectiveValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value that holds. A secret's is masked, and so are a user and a password in a URL."""

    path: str
    """``forks.storage-backup.batch.max_age``."""
    value: str | int | float | bool | None
    source: str
    """``file``, ``environment`` (an override) or ``default``."""
    origin: str
    """For a person: ``forkstream.yaml:3:29 ${BACKUP_QUEUE}``, ``$FORKSTREAM_LOG__LEVEL``, ``default of sink.s3``."""


def effective_values(config: Config) -> Iterator[EffectiveValue]:
    """List the values of a config by the order in which its settings are declared, defaults among them."""
    tuned = {name: each for plan in config.plans for name, each in _tuned(plan).items()}
    for path, value in _leaves("", config.file, config):
        origin = config.origins.get(path)
        if origin is None:
            holding, said = tuned.get(path, (value, "default"))
            yield EffectiveValue(path=path, value=_shown(holding, config), source="default", origin=said)
            continue
        shown = _MASK if origin.secret and value is not None else _shown(value, config)
        source = "environment" if origin.place.file.startswith("$") else "file"
        written = origin.written
        if origin.secret:  # what stands in the file around its variables, and their defaults, may be secret too
            written = _DEFAULT.sub(":-…", " ".join(_VARIABLES.findall(written)))
        said = f"{origin.place} {written}".rstrip()
        yield EffectiveValue(path=path, value=shown, source=source, origin=said)


def _tuned(plan: Plan) -> dict[str, tuple[Any, str]]:
    """The batch limits that a config leaves to the sink."""
    given, limits = plan.settings.batch, plan.batch_limits
    said = f"default of {plan.step(plan.sink)}"
    holding = {
        "max_events": limits.max_events,
        "max_bytes": Size(limits.max_bytes),
        "max_age": Duration(limits.max_age),
    }
    return {
        f"forks.{plan.name}.batch.{name}": (value, said)
        for name, value in holding.items()
        if getattr(given, name) is None
    }


def _leaves(path: str, value: Any, config: Config) -> Iterator[tuple[str, Any]]:
    match value:
        case Step(name=name, settings=settings):
            below = f"{path}.{name}"
            if settings is None or not settings.__struct_fields__:
                yield path, name
            else:
                yield from _leaves(below, settings, config)
        case msgspec.Struct():
            for field in msgspec.structs.fields(value):
                yield from _leaves(_join(path, field.encode_name), getattr(value, field.name), config)
        case list() | tuple() if value and f"{path}[0]" in config.origins:
            for number, item in enumerate(value):
                yield from _leaves(f"{path}[{number}]", item, config)
        case Mapping() if value:
            for name, item in value.items():
                yield from _leaves(_join(path, str(name)), item, config)
        case _:
            yield path, value


def _shown(value: Any, config: Config) -> str | int | float | bool | None:
    match value:
        case Secret():
            return _MASK
        case Quantity():
            return str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return "{}"
        case list() | tuple() | frozenset():
            items = [str(_shown(each, config)) for each in value]
            return f"[{', '.join(sorted(items) if isinstance(value, frozenset) else items)}]"
        case _:
            return _PASSWORD.sub(_MASK, masked(str(getattr(value, "value", value)), config.secrets))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
