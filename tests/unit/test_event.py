"""Events: what no stage touches keeps its bytes, and numbers keep their meaning."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream import Event, UndecodableError
from forkstream.event import decode_json, encode_json


def test_a_body_that_nobody_touches_keeps_its_bytes() -> None:
    event = Event(b'{ "amount" : 450.00 }', id="1")
    assert event.data == {"amount": Decimal("450.00")}
    assert event.body == b'{ "amount" : 450.00 }'


def test_changed_data_is_encoded_when_somebody_asks() -> None:
    event = Event(b"{}", id="1").with_(data={"amount": Decimal("450.00"), "n": 2**70})
    assert event.body == b'{"amount":450.00,"n":1180591620717411303424}'


def test_a_copy_leaves_the_original_alone() -> None:
    event = Event(b'{"a":1}', id="1", sent_at=5.0, receive_count=3, group="g")
    copy = event.with_(body=b'{"a":2}')
    assert (event.body, copy.body, copy.data) == (b'{"a":1}', b'{"a":2}', {"a": 2})
    assert (copy.id, copy.sent_at, copy.receive_count, copy.group) == ("1", 5.0, 3, "g")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"text", "not_json"),
        (b"NaN", "not_json"),
        (b'"\xff"', "not_json"),
        (b"[" * 100_000 + b"]" * 100_000, "nested_too_deep"),
        (b'{"a":1e99999999999999999999}', "number_out_of_range"),
    ],
)
def test_what_cannot_be_decoded_says_so(body: bytes, code: str) -> None:
    with pytest.raises(UndecodableError) as raised:
        _ = Event(body, id="1").data
    assert raised.value.code == code


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    with suppress(UndecodableError):
        decode_json(body)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_fraction_comes_back_as_the_number_that_it_was(number: Decimal) -> None:
    decoded = decode_json(encode_json({"n": number}))
    assert isinstance(decoded, dict)
    assert decoded["n"] == number


def test_a_repr_shows_no_content() -> None:
    assert "4111" not in repr(Event(b"4111111111111111", id="1"))
