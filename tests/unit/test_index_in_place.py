"""The index stage puts its time into a body without decoding all of it: the same document as with a whole decode."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import DeliveryError
from forkstream.event import Event, decode_json, encode_json
from forkstream.ports import Context
from forkstream.stages.index import Index, IndexConfig

SETTINGS: dict[str, Any] = {"name": "orders", "time": "at", "id": ["customer.id", "id"], "version": "at"}
VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-5, 2**64) | st.text(max_size=3) | st.just({}) | st.just([1])
)
DATES = st.sampled_from(["2026-01-01T00:00:00+01:00", "2026-13-01", 1_544_946_071, "x"])


def index(**settings: Any) -> Index:
    return Index(msgspec.convert({**SETTINGS, **settings}, IndexConfig), Context(fork="f"))


def outcome(stage: Index, body: bytes) -> Any:
    try:
        made = stage(Event(body, id="x", sent_at=7.0))
    except DeliveryError as error:
        return error.code
    return made.target, decode_json(made.body)


IN_PLACE, WHOLE = index(), index(fields={"exclude": ["nobody"]})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": VALUES,
            "at": VALUES | DATES,
            "customer": VALUES | st.fixed_dictionaries({}, optional={"id": VALUES}),
            "@timestamp": VALUES,
            "note": VALUES,
        },
    )
)
def test_a_document_is_the_same_as_by_a_whole_decode(data: Any) -> None:
    body = encode_json(data)
    assert outcome(IN_PLACE, body) == outcome(WHOLE, body)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"no", b'{"id":1', b'{"id":1}}', b'{"id":1,"at":5,"customer":{"id":2},"note":"\xff"}',
        b'{"id":1,"at":5,"customer":{"id":2},}', b'{"id":1,"at":5,"customer":{"id":2}} {}', b"{}",
        b'{"\\u0040timestamp":"theirs","id":1,"at":5,"customer":{"id":2}}',
        b' {"id":1,"at":5,"customer":{"id":2}}\n',
    ],
)  # fmt: skip
def test_a_body_out_of_the_ordinary_fares_as_by_a_whole_decode(body: bytes) -> None:
    assert outcome(IN_PLACE, body) == outcome(WHOLE, body)


def test_what_is_not_touched_keeps_its_bytes() -> None:
    body = b'{"id": 1, "at":5,\t"customer":{"id":2.0},"n":1.50, "customer":{"id":2}}'
    made = IN_PLACE(Event(body, id="x"))
    assert made.body == body[:-1] + b',"@timestamp":"1970-01-01T00:00:05.000Z"}'
    assert made.target is not None
    assert made.target.id == "2:1"
