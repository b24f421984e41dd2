"""Rows on their way to DynamoDB: exact numbers, and puts in which equal keys have collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import PermanentError
from forkstream.event import Event, FailureKind
from forkstream.sinks.item import KeyType, Row, exact_number, to_item
from forkstream.sinks.puts import batches, plan

KEY: dict[str, KeyType] = {"Id": "S"}


def rows(*cells: Row) -> list[tuple[Event, Row]]:
    return [(Event(b"", id=str(at)), row) for at, row in enumerate(cells)]


def planned(events: Sequence[tuple[Event, Row]], version: str | None = None) -> list[tuple[Any, list[str]]]:
    """The version of each put, and the ids of the events that it settles."""
    lanes, failures = plan(events, key=KEY, version=version)
    assert failures == []
    return [(next(iter(put.item["V"].values())), [event.id for event in put.events]) for lane in lanes for put in lane]


def test_each_value_is_under_its_type() -> None:
    row: Row = {
        "text": "", "yes": True, "whole": 7, "price": Decimal("450.00"), "raw": b"\0", "none": None,
        "list": [1, "x"], "map": {"a": {"b": Decimal("-1E-3")}},
    }  # fmt: skip
    assert to_item(row) == {
        "text": {"S": ""}, "yes": {"BOOL": True}, "whole": {"N": "7"}, "price": {"N": "450.00"}, "raw": {"B": b"\0"},
        "none": {"NULL": True}, "list": {"L": [{"N": "1"}, {"S": "x"}]}, "map": {"M": {"a": {"M": {"b": {"N": "-0.001"}}}}},
    }  # fmt: skip


@given(
    st.integers(0, 10**38 - 1), st.integers(-130, 125 - 37), st.booleans()
)  # 38 digits, and every exponent at which all of them fit
def test_a_number_of_38_digits_keeps_every_one(digits: int, exponent: int, negative: bool) -> None:
    with localcontext(Context(prec=200)):
        number = Decimal(digits).scaleb(exponent) * (-1 if negative else 1)
    assert Decimal(exact_number(number, "n")) == number


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (10**38 + 1, "number_too_long"),
        (Decimal("0." + "1" * 39), "number_too_long"),
        (Decimal("1E126"), "number_out_of_range"),
        (-(10**126), "number_out_of_range"),
        (Decimal("9E-131"), "number_out_of_range"),
        (Decimal("NaN"), "number_not_finite"),
        (Decimal("-Infinity"), "number_not_finite"),
    ],
)
def test_a_number_that_would_be_rounded_is_refused_by_column(number: int | Decimal, code: str) -> None:
    with pytest.raises(PermanentError) as refused:
        to_item({"map": {"deep": [0, number]}})
    assert refused.value.code == code
    assert refused.value.detail.startswith("map.deep[1]: ")


@pytest.mark.parametrize(
    "number", [10**125, Decimal("9.99E125"), Decimal("1E-130"), 0, Decimal("0E-500"), Decimal("-0")]
)
def test_the_ends_of_the_range_are_in_it(number: int | Decimal) -> None:
    assert Decimal(exact_number(number, "n")) == number
    assert number != 0 or exact_number(number, "n") == "0"


@pytest.mark.parametrize("value", [1.5, float("nan"), {1, 2}, object()])
def test_a_value_without_an_exact_form_is_refused_by_column(value: Any) -> None:
    with pytest.raises(PermanentError) as refused:
        to_item({"list": [value]})
    assert (refused.value.code, refused.value.detail[:8]) == ("column_type", "list[0]:")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "key_missing"),
        ({"Id": ""}, "key_empty"),
        ({"Id": 7}, "key_type"),
        ({"Id": None}, "key_type"),
        ({"Id": "x", "n": 1.5}, "column_type"),
    ],
)
def test_a_row_that_cannot_be_stored_fails_alone(row: Row, code: str) -> None:
    events = rows({"Id": "a"}, row, {"Id": "b"})
    lanes, failures = plan(events, key=KEY, version=None)
    assert [put.key for lane in lanes for put in lane] == [("a",), ("b",)]
    (failure,) = failures
    assert (failure.event, failure.kind, failure.code) == (events[1][0], FailureKind.PERMANENT, code)


@pytest.mark.parametrize(("row", "code"), [({"Id": "a"}, "version_missing"), ({"Id": "a", "V": True}, "version_type")])
def test_a_row_whose_version_is_none_fails_alone(row: Row, code: str) -> None:
    _, failures = plan(rows(row), key=KEY, version="V")
    assert [failure.code for failure in failures] == [code]


def test_contract_7_equal_keys_collapse_to_the_last_and_settle_with_it() -> None:
    assert planned(rows({"Id": "a", "V": 2}, {"Id": "b", "V": 9}, {"Id": "a", "V": 1})) == [
        ("1", ["0", "2"]),
        ("9", ["1"]),
    ]


def test_contract_7_equal_keys_collapse_to_the_newest_where_there_is_a_version() -> None:
    assert planned(rows({"Id": "a", "V": 9}, {"Id": "a", "V": 10}, {"Id": "a", "V": 2}), "V") == [
        ("10", ["0", "1", "2"])
    ]
    assert planned(rows({"Id": "a", "V": "2018-12"}, {"Id": "a", "V": "2018-11"}), "V") == [("2018-12", ["0", "1"])]


def test_contract_7_of_equal_versions_the_last_stands() -> None:
    lanes, _ = plan(rows({"Id": "a", "V": 1, "x": "old"}, {"Id": "a", "V": 1, "x": "new"}), key=KEY, version="V")
    assert lanes[0][0].item["x"] == {"S": "new"}


def test_numbers_that_are_equal_are_one_key() -> None:
    lanes, _ = plan(rows({"N": 1}, {"N": Decimal("1.0")}, {"N": 2}), key={"N": "N"}, version=None)
    assert [[event.id for event in lane[0].events] for lane in lanes] == [["0", "1"], ["2"]]


def test_a_request_holds_25_items_and_half_a_mebibyte_and_a_larger_item_goes_alone() -> None:
    def requests(*sizes: int) -> list[int]:
        lanes, _ = plan(
            rows(*({"Id": str(at), "x": "y" * size} for at, size in enumerate(sizes))), key=KEY, version=None
        )
        return [len(request) for request in batches(lanes)]

    assert requests(*[1] * 60) == [25, 25, 10]
    assert requests(*[200_000] * 5) == [2, 2, 1]
    assert requests(1, 600_000, 1, 1) == [1, 1, 2]
    assert requests() == []


def test_versions_of_different_types_are_left_to_the_table() -> None:
    assert planned(rows({"Id": "a", "V": 1}, {"Id": "a", "V": "1"}), "V") == [("1", ["0"]), ("1", ["1"])]


def test_contract_11_a_group_keeps_its_order_and_collapses_nothing() -> None:
    events: list[tuple[Event, Row]] = [
        (Event(b"", id=str(at), group=group), {"Id": key, "V": at})
        for at, (group, key) in enumerate([("g", "a"), ("h", "a"), ("g", "b"), ("g", "a"), (None, "a")])
    ]
    lanes, _ = plan(events, key=KEY, version="V")
    assert [[put.events[0].id for put in lane] for lane in lanes] == [["0", "2", "3"], ["1"], ["4"]]


def test_contract_11_behind_an_event_that_is_no_item_its_group_waits_whatever_the_keys() -> None:
    made: list[tuple[str | None, Row]] = [
        ("g", {"Id": "a", "V": 1}),
        ("g", {"Id": "b"}),  # no version
        ("g", {"Id": "c", "V": 3}),
        ("h", {"Id": "c", "V": 4}),
        (None, {"Id": "d"}),
        (None, {"Id": "e", "V": 5}),
    ]
    lanes, failures = plan(
        [(Event(b"", id=str(at), group=group), row) for at, (group, row) in enumerate(made)], key=KEY, version="V"
    )
    assert sorted(put.events[0].id for lane in lanes for put in lane) == ["0", "3", "5"]
    assert [(failure.event.id, failure.code) for failure in failures] == [
        ("1", "version_missing"), ("2", "behind_failed"), ("4", "version_missing"),
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3), st.sampled_from([None, "g", "h"])), max_size=30),
    st.booleans(),
)
def test_every_event_is_settled_by_one_put_of_its_key_that_is_no_older(
    drawn: list[tuple[str, int, str | None]], versioned: bool
) -> None:
    events: list[tuple[Event, Row]] = [
        (Event(b"", id=str(at), group=group), {"Id": key, "V": version})
        for at, (key, version, group) in enumerate(drawn)
    ]
    lanes, failures = plan(events, key=KEY, version="V" if versioned else None)
    row_of = dict(events)
    settled = [event for lane in lanes for put in lane for event in put.events]
    assert not failures
    assert len(settled) == len(set(settled)) == len(events)
    for lane in lanes:
        for put in lane:
            assert all(put.key == (row_of[event]["Id"],) for event in put.events)
            if versioned:
                assert int(put.item["V"]["N"]) == max(row_of[event]["V"] for event in put.events)  # type: ignore[type-var]
    if not versioned:  # BatchWriteItem refuses a key that stands in it twice
        keys = [put.key for lane in lanes for put in lane]
        assert len(keys) == len(set(keys))
