"""The index stage: an event becomes a document, and the same event always the same one."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Attribute, Event, Json, Target, encode_json
from forkstream.ports import Context
from forkstream.stages.index import FieldSettings, Index, IndexConfig

ORDER = b'{"id":15311,"date":"2018-12-15T23:41:11-08:00","status":"confirmed","customer":{"id":65144,"name":"John"},"amount":450.00}'
ARRIVED = 1_795_443_071.25  # 2026-11-23T14:11:11.25Z


def event(body: bytes = ORDER, **data: Json) -> Event:
    return Event(encode_json(data) if data else body, id="origin-1", sent_at=ARRIVED)


def indexed(config: IndexConfig, given: Event | None = None) -> Event:
    return Index(config, Context(fork="search"))(given or event())


def target(config: IndexConfig, given: Event | None = None) -> Target:
    found = indexed(config, given).target
    assert found is not None
    return found


def refusal(config: IndexConfig, given: Event) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        indexed(config, given)
    return caught.value


def test_an_event_becomes_a_document_with_its_place() -> None:
    config = IndexConfig(
        name="orders-{status}",
        rotation="day",
        time="date",
        id=("customer.id", "id"),
        version="date",
        routing="customer.id",
    )
    document = indexed(config)
    # eleven at night in California is the next day in UTC
    assert document.target == Target("orders-confirmed-2018-12-16", "65144:15311", 1_544_946_071_000, "65144")
    assert document.body == ORDER[:-1] + b',"@timestamp":"2018-12-16T07:41:11.000Z"}'


def test_without_a_time_the_first_sending_counts() -> None:
    document = indexed(IndexConfig(name="orders", rotation="hour"))
    assert document.target == Target("orders-2026-11-23-14", "origin-1")
    assert b'"@timestamp":"2026-11-23T14:11:11.250Z"' in document.body


def test_a_timestamp_of_the_body_gives_way() -> None:
    config = IndexConfig(name="orders", time="@timestamp")
    document = indexed(config, event(b'{"@timestamp":"2026-01-01T01:00:00.123456+01:00"}'))
    assert document.data == {"@timestamp": "2026-01-01T00:00:00.123Z"}


def test_numbers_keep_their_digits() -> None:
    assert b'"amount":450.00,' in indexed(IndexConfig(name="orders")).body


def test_the_given_event_stays_as_it_was() -> None:
    given = event()
    indexed(IndexConfig(name="orders", fields=FieldSettings(exclude=("customer.name",))), given)
    assert given.body == ORDER
    assert given.target is None
    assert "@timestamp" not in (given.data if isinstance(given.data, dict) else {})


def test_fields_are_chosen_after_id_and_time_are_read() -> None:
    config = IndexConfig(
        name="orders",
        id="id",
        time="date",
        fields=FieldSettings(include=("customer", "status"), exclude=("customer.name",)),
    )
    document = indexed(config)
    assert document.target == Target("orders", "15311")
    assert document.data == {"status": "confirmed", "customer": {"id": 65144}, "@timestamp": "2018-12-16T07:41:11.000Z"}


def test_attributes_can_be_id_and_time() -> None:
    attributes = {"key": Attribute("String", "o-1"), "at": Attribute("String", "2026-01-01T00:00:00Z")}
    given = Event(b"{}", id="m", attributes=attributes)
    document = indexed(IndexConfig(name="orders", id="attributes.key", time="attributes.at"), given)
    assert document.target == Target("orders", "o-1")
    assert document.data == {"@timestamp": "2026-01-01T00:00:00.000Z"}


def test_contract_07_a_replay_makes_the_same_document() -> None:
    config = IndexConfig(name="orders", id="id", version="date", time="date", rotation="month")
    first = Event(ORDER, id="message-1", sent_at=1.0, receive_count=1)
    again = Event(ORDER, id="message-2", sent_at=2e9, receive_count=7)
    assert (indexed(config, first).target, indexed(config, first).body) == (
        indexed(config, again).target,
        indexed(config, again).body,
    )


_parts = st.lists(st.text(":%3A25", min_size=1, max_size=4), min_size=2, max_size=2)


@given(_parts, _parts)
@example(["%3A", "a"], [":", "a"])
@example(["a:b", "c"], ["a", "b:c"])
def test_different_ids_never_join_into_one(one: list[str], other: list[str]) -> None:
    config = IndexConfig(name="orders", id=("a", "b"))
    joined = [target(config, event(a=a, b=b)).id for a, b in (one, other)]
    assert (joined[0] == joined[1]) == (one == other)


@pytest.mark.parametrize("path", ["id", "time", "version", "routing", "name"])
def test_a_missing_path_is_named_and_never_quoted_from_the_event(path: str) -> None:
    config = msgspec.structs.replace(
        IndexConfig(name="orders"), **{path: "orders-{customer.x}" if path == "name" else "customer.x"}
    )
    for body in (ORDER, b'{"customer":{"x":null}}', b'{"customer":7}', b'{"customer":[1]}'):
        error = refusal(config, event(body))
        assert (error.code, error.detail) == ("missing_path", "there is no value at customer.x")


@pytest.mark.parametrize("value", ["", True, Decimal("1.0"), [1], {"a": 1}])
def test_only_strings_and_whole_numbers_identify_a_document(value: Json) -> None:
    assert refusal(IndexConfig(name="orders", id="x"), event(x=value)).code == "bad_id"
    assert refusal(IndexConfig(name="orders", routing="x"), event(x=value)).code == "bad_routing"


@pytest.mark.parametrize("value", [-1, 2**63, Decimal("3.0"), True, "soon", "2018-12-15", "1969-12-31T23:59:59Z", [1]])
def test_a_version_is_a_whole_number_or_a_time(value: Json) -> None:
    assert refusal(IndexConfig(name="orders", version="x"), event(x=value)).code == "bad_version"


@pytest.mark.parametrize(("value", "version"), [(0, 0), (2**63 - 1, 2**63 - 1), ("1970-01-01T00:00:01Z", 1000)])
def test_a_version_keeps_its_value(value: Json, version: int) -> None:
    assert target(IndexConfig(name="orders", version="x"), event(x=value)).version == version


@pytest.mark.parametrize("value", ["2018-12-15T23:41:11", "soon", True, [1]])
def test_a_time_that_cannot_be_read_fails_the_event(value: Json) -> None:
    assert refusal(IndexConfig(name="orders", time="x"), event(x=value)).code == "bad_time"


def test_an_id_has_512_bytes_at_most() -> None:
    config = IndexConfig(name="orders", id="x")
    assert target(config, event(x="é" * 256)).id == "é" * 256
    assert refusal(config, event(x="é" * 256 + "e")).code == "id_too_long"


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null"])
def test_only_an_object_is_a_document(body: bytes) -> None:
    with pytest.raises(UndecodableError):
        indexed(IndexConfig(name="orders"), event(body))


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "Orders"},
        {"name": "orders", "id": "items[*].id"},
        {"name": "orders", "id": ()},
        {"name": "orders", "time": "a..b"},
        {"name": "orders", "fields": FieldSettings(include=("a..b",))},
    ],
)
def test_settings_that_cannot_work_are_a_config_error(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Index(msgspec.structs.replace(IndexConfig(name="x"), **settings), Context(fork="search"))


def test_the_settings_read_from_a_config() -> None:
    config = msgspec.convert(
        {"name": "orders", "rotation": "week", "id": ["customer.id", "id"], "fields": {"exclude": ["a"]}}, IndexConfig
    )
    assert config.id == ("customer.id", "id")
    assert Index.settings_type() is IndexConfig
