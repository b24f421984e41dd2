"""Fields read without decoding the whole body: the same values as with it, or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import PermanentError
from forkstream.event import Event, encode_json
from forkstream.fields.shallow import Shallow
from forkstream.sinks.column import Column, ColumnSettings
from forkstream.sinks.columns import Columns

KEYS = st.sampled_from(["a", "b", "c d", "ü"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.decimals(-9, 9, places=2) | st.text(max_size=4),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)
PATHS = {"A": "a", "BA": "b.a", "BB": "b.b", "CD": '"c d".a."ü"'}


def row(columns: list[Column], event: Event, *, shallow: bool) -> Any:
    if not shallow:
        _ = event.data  # and each column looks its value up in it
        read = {column.name: column(event) for column in columns}
    else:
        read = dict(Columns(columns)(event))
    return {name: value for name, value in read.items() if value != UNSET}


UNSET = Column("x", ColumnSettings(path="x"))(Event(b"{}", id="x"))


@given(JSON)
def test_a_row_is_the_same_as_of_the_whole_body(data: Any) -> None:
    columns = [Column(name, ColumnSettings(path=path)) for name, path in PATHS.items()]
    body = encode_json(data)
    assert row(columns, Event(body, id="x"), shallow=True) == row(columns, Event(body, id="x"), shallow=False)


def test_values_come_in_the_order_of_the_paths_with_every_digit() -> None:
    read = Shallow([["b", "x"], ["a"], ["b", "y"]]).read
    found = read(b'{"skip":[1,{"a":2}],"b":{"y":"\\u00fc","x":450.00},"a":null}')
    assert found is not None
    assert [str(value) for value in found] == ["450.00", "None", "ü"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"a":1}', b'{"b":{}}', b'{"b":null}', b'{"b":{"x":1}', b'{"b":{"x":"\xff"}}', b"{" * 9000]
)
def test_what_is_missing_or_broken_gives_none(body: bytes) -> None:
    assert Shallow([["b", "x"]]).read(body) is None


def test_a_value_and_a_part_of_it_are_not_read_at_once() -> None:
    with pytest.raises(ValueError, match="as a whole"):
        Shallow([["a"], ["a", "b"]])
    with pytest.raises(ValueError, match="as a whole"):
        Shallow([["a", "b"], ["a"]])
    columns = Columns([Column(path, ColumnSettings(path=path)) for path in ("a", "a.b")])
    assert columns(Event(b'{"a":{"b":1}}', id="x")) == {"a": {"b": 1}, "a.b": 1}


def test_a_body_that_is_no_json_fails_as_ever() -> None:
    with pytest.raises(PermanentError, match="not_json"):
        Columns([Column("a", ColumnSettings(path="a"))])(Event(b"no", id="x"))
