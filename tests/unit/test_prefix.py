"""Where an object's key begins: time, fields of the event, and values that cannot leave their place."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import UndecodableError
from forkstream.event import Attribute, Event
from forkstream.sinks.prefix import Prefix, PrefixSettings

SENT_AT = datetime(2018, 12, 15, 7, 41, 11, tzinfo=UTC).timestamp()
ORDER = b'{"id":15311,"customer":{"id":65144,"vip":true},"payment":{"amount":450.00},"items":[{"id":6512}],"note":null}'


def prefix(pattern: str, missing: str = "__HIVE_DEFAULT_PARTITION__") -> Prefix:
    return Prefix(PrefixSettings(prefix=pattern, missing=missing))


def event(body: bytes = ORDER, **attributes: Attribute) -> Event:
    return Event(body, id="m-1", sent_at=SENT_AT, attributes=attributes)


def rendered(pattern: str, body: bytes = ORDER, **attributes: Attribute) -> str:
    return prefix(pattern)(event(body, **attributes))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ""),
        ("orders/", "orders/"),
        ("orders-", "orders-"),
        ("%Y-%m-%d/%H/%M/", "2018-12-15/07/41/"),
        ("dt=%Y-%m-%d/", "dt=2018-12-15/"),
        ("%G-W%V/%j/", "2018-W50/349/"),
        ("100%%/", "100%/"),
        ("c={customer.id}/", "c=65144/"),
        ("vip={customer.vip}/a={payment.amount}/", "vip=true/a=450.00/"),
        ("{items[0].id}/%H/", "6512/07/"),
    ],
)
def test_a_prefix_renders_text_time_and_fields(pattern: str, expected: str) -> None:
    assert rendered(pattern) == expected


def test_the_time_is_the_events_own_in_utc() -> None:
    by_hour = prefix("%d/%H/")
    late = Event(b"", id="late", sent_at=SENT_AT + 86_400)
    assert [by_hour(event()), by_hour(late), by_hour(event())] == ["15/07/", "16/07/", "15/07/"]


def test_a_minute_is_not_taken_for_its_hour() -> None:
    by_minute = prefix("%H%M/")
    assert by_minute(event()) == "0741/"
    assert by_minute(Event(b"", id="later", sent_at=SENT_AT + 60)) == "0742/"


def test_a_message_attribute_is_a_field() -> None:
    assert rendered("{attributes.kind}/", kind=Attribute("String", "order")) == "order/"


def test_a_time_code_within_a_value_stays_text() -> None:
    assert rendered("{name}/", b'{"name":"%Y"}') == "%25Y/"


@pytest.mark.parametrize(
    "path", ["no.such", "note", "customer", "items", "items[7].id", "id.deeper", "attributes.none"]
)
def test_what_is_no_single_value_goes_to_the_default_partition(path: str) -> None:
    assert rendered(f"c={{{path}}}/") == "c=__HIVE_DEFAULT_PARTITION__/"


def test_an_empty_value_and_a_binary_attribute_go_to_the_default_partition_that_the_config_names() -> None:
    partition = prefix("{name}/{attributes.raw}/", missing="none")
    assert partition(event(b'{"name":""}', raw=Attribute("Binary", b"x"))) == "none/none/"


def test_equal_looking_values_of_different_types_do_not_share_a_cached_prefix() -> None:
    partition = prefix("{x}/")
    assert [partition(event(b'{"x":%s}' % x)) for x in (b"1", b"true", b"1.0", b"1")] == ["1/", "true/", "1.0/", "1/"]


def test_a_field_of_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(UndecodableError):
        rendered("{id}/", b"not json")
    assert rendered("%Y/", b"not json") == "2018/"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a b=c", "a%20b%3Dc"),
        ("ü", "%C3%BC"),
        ("\0", "%00"),
        ("v1.5_x-y~z", "v1.5_x-y~z"),
    ],
)
def test_a_value_cannot_leave_its_place(value: str, encoded: str) -> None:
    assert rendered("{x}/", msgspec.json.encode({"x": value})) == f"{encoded}/"


@given(left=st.text(), right=st.text())
def test_no_value_makes_a_path_that_climbs_or_a_key_that_is_too_long(left: str, right: str) -> None:
    body = (
        msgspec.json.encode({"l": left * 50, "r": right * 50})
        if len(left) > 3
        else msgspec.json.encode({"l": left, "r": right})
    )
    key = prefix("a/{l}{r}/dt=%Y/{r}/")(event(body))
    parts = key.split("/")
    assert len(parts) == 5
    assert re.fullmatch(r"[A-Za-z0-9._~%/=-]+", key)
    assert not {"", ".", ".."} & set(parts[:-1])
    assert len(key) <= 768
    assert max(map(len, parts)) <= 159


def test_long_values_are_cut_and_stay_different() -> None:
    one, other = (rendered("{x}/", msgspec.json.encode({"x": "/" * 5_000 + end})) for end in "ab")
    assert one != other
    assert len(one) == len(other) <= 129
    assert re.fullmatch(r"(%2F)+~[0-9a-f]{16}/", one)


def test_many_fields_share_the_room_of_a_key() -> None:
    pattern = "/".join(["{x}"] * 20) + "/"
    assert len(rendered(pattern, msgspec.json.encode({"x": "y" * 500}))) <= 768


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("%Q/", "'%Q' is no time code; known are %Y"),
        ("orders%", "'%' is no time code"),
        ("/orders/", "'/' is no part of a key"),
        ("a//b", "'/' is no part of a key"),
        ("a/../b/", "'../' is no part of a key"),
        ("{customer.id/", "a brace has no partner"),
        ("}", "a brace has no partner"),
        ("{}", "path ''"),
        ("{items[*].id}/", "one is needed"),
        ("x" * 800 + "/{id}/", "shorten it"),
        ("{a}{b}{c}{d}{e}{f}{g}/", "shorten it"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_with_its_reason(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        prefix(pattern)


def test_a_long_value_is_not_cut_within_an_encoded_character() -> None:
    cut = (rendered("{x}/", msgspec.json.encode({"x": "a" * length + "/" * 500})) for length in range(3))
    assert all(re.fullmatch(r"a*(%2F)+~[0-9a-f]{16}/", key) for key in cut)


@pytest.mark.parametrize("missing", ["..", "a/b", "", "x" * 27])
def test_a_default_partition_that_could_climb_is_refused(missing: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"missing": missing}, PrefixSettings)
