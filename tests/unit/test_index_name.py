"""Names of search indexes: fields, rotation, and the rules that a name has to keep."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import PermanentError
from forkstream.event import Attribute, Event, encode_json
from forkstream.stages.index_name import IndexName, Rotation

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def name(pattern: str, rotation: Rotation = "none", at: datetime = NOON, **data: str | int | bool | None) -> str:
    return IndexName(pattern, rotation)(Event(encode_json(dict(data)), id="m"), at)


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ("none", "orders"),
        ("hour", "orders-2026-11-23-14"),
        ("day", "orders-2026-11-23"),
        ("week", "orders-2026-w48"),
        ("month", "orders-2026-11"),
    ],
)
def test_the_suffix_is_that_of_the_rotation(rotation: Rotation, expected: str) -> None:
    assert name("orders", rotation, datetime(2026, 11, 23, 14, 59, 59, 999_999, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ((2026, 12, 31), "2026-w53"),
        ((2027, 1, 1), "2026-w53"),  # a Friday: its week began in the old year
        ((2027, 1, 3), "2026-w53"),
        ((2027, 1, 4), "2027-w01"),
        ((2024, 12, 30), "2025-w01"),  # a Monday: its week's Thursday is in the new year
        ((2018, 12, 16), "2018-w50"),
        ((999, 1, 7), "0999-w02"),
    ],
)
def test_a_week_belongs_to_the_year_of_its_thursday(day: tuple[int, int, int], week: str) -> None:
    assert name("orders", "week", datetime(*day, tzinfo=UTC)) == f"orders-{week}"


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["hour", "day", "week", "month"]))
def test_later_events_never_sort_into_an_earlier_index(moment: datetime, rotation: Rotation) -> None:
    later = datetime.max.replace(tzinfo=UTC)
    assert name("orders", rotation, moment) <= name("orders", rotation, later)
    assert len(name("orders", rotation, moment)) == len(name("orders", rotation, later))


def test_fields_of_the_event_stand_in_the_name() -> None:
    assert name("shop-{country}-{shop}", "day", country="de", shop=7) == "shop-de-7-2026-11-23"


def test_an_attribute_can_stand_in_the_name() -> None:
    event = Event(b"{}", id="m", attributes={"kind": Attribute("String", "order")})
    assert IndexName("shop-{attributes.kind}", "none")(event, NOON) == "shop-order"


@pytest.mark.parametrize(
    "value",
    [
        *("Order", "a b", "a/b", "a\\b", "a*", "a?", 'a"', "<a", "a>", "a|b", "a,b", "a#b", "a:b", "a\nb", "a\0"),
        *("", "_a", "-a", "+a", ".a", "..", "ÄÖ", "x" * 81, True),
    ],
)
def test_a_name_that_opensearch_would_refuse_fails_the_event(value: str | bool) -> None:
    with pytest.raises(PermanentError) as caught:
        name("{type}", type=value)
    assert caught.value.code == "invalid_index_name"


@pytest.mark.parametrize("value", ["a", "a_b-c+d.e", "x" * 80, "2018", "ü", "注文"])
def test_a_name_that_opensearch_takes_is_taken(value: str) -> None:
    assert name("{type}", "hour", type=value) == f"{value}-2026-11-23-12"


def test_a_name_has_255_bytes_at_most_with_its_suffix() -> None:
    assert name("{type}", "hour", type="é" * 80) == "é" * 80 + "-2026-11-23-12"
    with pytest.raises(PermanentError):
        name("{type}", type="\U0001f6d2" * 64)
    assert name("{type}", type="\U0001f6d2" * 63)


def test_a_missing_field_names_its_path() -> None:
    with pytest.raises(PermanentError) as caught:
        name("orders-{customer.type}")
    assert caught.value.code == "missing_path"
    assert "customer.type" in caught.value.detail


@pytest.mark.parametrize("pattern", ["Orders", "_orders", "orders:{type}", "or ders", "x" * 81, "orders-{items[*].id}"])
def test_a_pattern_that_no_event_could_fill_is_a_config_error(pattern: str) -> None:
    with pytest.raises(ValueError):
        IndexName(pattern, "none")


@pytest.mark.parametrize("pattern", ["orders-{", "orders-}", "orders-{type", "orders-{{type}}", "orders-{}"])
def test_a_brace_without_a_partner_is_a_config_error(pattern: str) -> None:
    with pytest.raises(ValueError):
        IndexName(pattern, "none")
