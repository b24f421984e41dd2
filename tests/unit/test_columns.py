"""Columns of a table, filled from paths into the event."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Attribute, Event
from forkstream.ports import Context
from forkstream.sinks.column import Column, ColumnSettings
from forkstream.sinks.dynamodb import DynamoDBConfig, DynamoDBSink

BODY = b"""{"id": 15311, "date": "2018-12-15T23:41:11-08:00", "customer": {"id": 65144}, "payment": {"amount": 450.00},
    "paid": true, "note": null, "items": [{"id": 1}], "attributes": {"x": "of the body"}}"""
EVENT = Event(
    BODY,
    id="m",
    attributes={
        "amount": Attribute("Number", "450.00"),
        "raw": Attribute("Binary", b"\0"),
        "a.b": Attribute("String", "x"),
    },
)


def column(path: str, type_: str = "any", event: Event = EVENT) -> Any:
    return Column("C", msgspec.convert({"path": path, "type": type_}, ColumnSettings))(event)


@pytest.mark.parametrize(
    ("path", "type_", "expected"),
    [
        ("customer.id", "any", 65144),
        ("customer.id", "S", "65144"),
        ("payment.amount", "any", Decimal("450.00")),
        ("payment.amount", "S", "450.00"),
        ("payment.amount", "N", Decimal("450.00")),
        ("attributes.amount", "any", "450.00"),
        ("attributes.amount", "N", Decimal("450.00")),
        ("attributes.raw", "B", b"\0"),
        ("attributes.a.b", "any", "x"),
        ('"attributes".x', "any", "of the body"),
        ("paid", "BOOL", True),
        ("paid", "S", "true"),
        ("note", "any", None),
        ("note", "json", "null"),
        ("items", "any", [{"id": 1}]),
        ("items", "json", '[{"id":1}]'),
        ("items[0].id", "any", 1),
        ("date", "time", 1_544_946_071_000),
    ],
)
def test_a_column_reads_its_path_in_its_type(path: str, type_: str, expected: object) -> None:
    found = column(path, type_)
    assert found == expected
    assert type(found) is type(expected)


def test_the_whole_body_can_be_a_column() -> None:
    assert column("$") == EVENT.data
    assert column("$", "json", Event(b'{"a": 1.50}', id="m")) == '{"a":1.50}'


@pytest.mark.parametrize("type_", ["any", "S", "N", "B", "BOOL", "json", "time"])
def test_what_is_missing_is_left_out(type_: str) -> None:
    assert column("no.such", type_) is msgspec.UNSET
    assert column("attributes.no", type_) is msgspec.UNSET
    assert (column("note", type_) is msgspec.UNSET) == (type_ not in ("any", "json"))


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("customer", "S"), ("customer", "N"), ("paid", "N"), ("date", "N"), ("id", "BOOL"), ("date", "B"),
        ("attributes.raw", "S"), ("attributes.raw", "json"), ("customer", "time"), ("attributes.raw", "time"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_column(path: str, type_: str) -> None:
    with pytest.raises(PermanentError) as refused:
        column(path, type_)
    assert refused.value.code == "column_type"
    assert refused.value.detail.startswith("C: ")


def test_a_time_without_its_offset_is_refused() -> None:
    with pytest.raises(PermanentError):
        column("t", "time", Event(b'{"t":"2018-12-15T23:41:11"}', id="m"))


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(UndecodableError):
        column("id", event=Event(b"no json", id="m"))


def sink(**settings: Any) -> DynamoDBSink:
    complete = {"table": "t", "columns": {"Id": {"path": "id", "type": "S"}, "V": "version"}, "key": ["Id"], **settings}
    return DynamoDBSink(msgspec.convert(complete, DynamoDBConfig), Context(fork="f"))


def test_only_versions_make_the_order_of_writes_indifferent() -> None:
    assert sink(version="V").ordered
    assert not sink(mode="batch").ordered


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "version and mode do not fit"),
        ({"version": "V", "mode": "batch"}, "version and mode do not fit"),
        ({"mode": "batch", "key": ["Other"]}, "Other is part of key or version, but columns has only Id, V"),
        ({"version": "Age"}, "Age is part of key or version"),
        ({"mode": "batch", "key": ["V"]}, "V is part of the key: give it a type of S, N, B"),
        ({"mode": "batch", "columns": {"Id": {"path": "a[*]", "type": "S"}}}, "one is needed"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("[", "\\[")):
        sink(**settings)
