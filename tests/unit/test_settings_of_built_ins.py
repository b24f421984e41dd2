"""The settings of built-in plugins are ordinary msgspec structs: whoever knows msgspec can read and convert them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from forkstream.config.hint import Hint
from forkstream.config.model import ConfigFile
from forkstream.registry import Registry
from forkstream.settings import Settings
from forkstream.sinks.sqs import SqsSinkConfig


def structs(type_: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    yield type_
    for field in msgspec.structs.fields(type_):
        for option in Hint(field.type).options:
            if option.struct:
                yield from structs(option.struct)


REGISTRY = Registry.installed()
TYPES: dict[str, type[Settings]] = {
    f"{offer.kind.value} {offer.name}": REGISTRY.load(offer).settings_type() for offer in REGISTRY.offers
} | {"config": ConfigFile}


@pytest.mark.parametrize("name", TYPES)
def test_a_constraint_stands_beside_the_type_that_it_is_about_not_beside_nothing(name: str) -> None:
    for struct in structs(TYPES[name]):
        for field in msgspec.structs.fields(struct):
            hint = Hint(field.type)
            own = any(
                option.quantity or option.secret for option in hint.options
            )  # types that only our reader constrains
            assert own or not hint.optional or not hint.limits, f"{struct.__name__}.{field.name}"


def test_an_optional_setting_with_a_constraint_can_be_converted_and_keeps_its_description() -> None:
    assert msgspec.convert({"queue": "q", "group": "orders"}, SqsSinkConfig).group == "orders"
    with pytest.raises(msgspec.ValidationError, match="matching regex"):
        msgspec.convert({"queue": "q", "group": ""}, SqsSinkConfig)
    (field,) = [field for field in msgspec.structs.fields(SqsSinkConfig) if field.name == "group"]
    assert Hint(field.type).description.startswith("the message group of every event")
