from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from forkstream.event import Attribute, Event
from tests.sanitize_kit import KEY, stage

ATTRIBUTES = {
    "amount": Attribute("Number", "450.00"),
    "card-number": Attribute("String", "1234 5678 9012 3456"),
    "card.cvv": Attribute("Number.code", "123"),
    "image": Attribute("Binary", b"\xff\x00"),
}


def left(given: dict[str, Attribute], **config: Any) -> dict[str, Attribute]:
    event = stage(**config)(Event(b"not json", id="1", attributes=given))
    assert event.body == b"not json"
    return dict(event.attributes)


def detected(value: str | bytes, kind: str = "String", name: str = "note", **detect: str) -> dict[str, Attribute]:
    event = Event(b"{}", id="1", attributes={name: Attribute(kind, value)})
    config = {"hash": {"key": KEY}} if "hash" in detect.values() else {}
    return dict(stage(detect=detect, **config)(event).attributes)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({"drop": ["card*"]}, ["amount", "image"]),
        ({"drop": ["card.*"]}, ["amount", "card-number", "image"]),
        ({"drop": ["Amount", "IMAGE"]}, ["card-number", "card.cvv"]),
        ({"keep": ["amount"]}, ["amount"]),
        ({"keep": ["Amount"]}, []),
        ({"keep": []}, []),
        ({"keep": ["*"], "drop": ["*-*"]}, ["amount", "card.cvv", "image"]),
    ],
)
def test_attributes_are_dropped_and_kept_by_name(rules: dict[str, list[str]], names: list[str]) -> None:
    result = left(ATTRIBUTES, attributes=rules)
    assert list(result) == names
    assert all(result[name] == ATTRIBUTES[name] for name in names)


def test_names_are_compared_like_keys() -> None:
    given = {"X-Trace": Attribute("String", "x")}
    assert left(given, attributes={"drop": ["x-trace"]}) == {}
    assert left(given, attributes={"drop": ["x-trace"]}, case="sensitive") == given
    assert left(given, attributes={"keep": ["x-trace"]}) == {}
    assert left(given, attributes={"keep": ["X-*"]}) == given


def test_the_case_of_names_counts_if_the_config_says_so() -> None:
    assert list(left(ATTRIBUTES, attributes={"drop": ["Amount", "image"]}, case="sensitive")) == [
        *("amount", "card-number", "card.cvv")
    ]


def test_a_masked_attribute_is_a_string() -> None:
    result = left(ATTRIBUTES, attributes={"mask": [{"paths": ["card-number"], "keep_last": 4}, "card.cvv", "image"]})
    assert result == {
        "amount": ATTRIBUTES["amount"],
        "card-number": Attribute("String", "****3456"),
        "card.cvv": Attribute("String", "****"),
        "image": Attribute("String", "****"),
    }


def test_a_hashed_attribute_is_the_hmac_of_its_text_or_bytes() -> None:
    result = left(ATTRIBUTES, attributes={"hash": ["card.cvv", "image"]}, hash={"key": KEY})
    for name, message in (("card.cvv", b"123"), ("image", b"\xff\x00")):
        assert result[name] == Attribute("String", hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest())


def test_the_rule_that_leaves_least_wins() -> None:
    result = left(
        ATTRIBUTES,
        attributes={"hash": ["*"], "mask": ["c*"], "drop": ["card-*"], "keep": ["card*", "image"]},
        hash={"key": KEY},
    )
    assert list(result) == ["card.cvv", "image"]
    assert result["card.cvv"].value == "****"


def test_rules_for_attributes_alone_leave_the_body_alone() -> None:
    body = b'{ "a":1, "a":2 }'
    assert stage(attributes={"drop": ["x"]})(Event(body, id="1")).body == body


def test_rules_for_the_body_alone_leave_the_attributes_alone() -> None:
    assert stage(drop=["a"])(Event(b"{}", id="1", attributes=ATTRIBUTES)).attributes == ATTRIBUTES


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("card 4111 1111 1111 1111!", "String", Attribute("String", "card ****!")),
        ("4111111111111111", "Number", Attribute("String", "****")),
        ("4111111111111111", "Number.pan", Attribute("String", "****")),
        ("x@example.com", "String.json", Attribute("String.json", "****")),
        (b"a 4111111111111111", "Binary", Attribute("Binary", b"a ****")),
        (b"\xff\xfe x@example.com \xe9", "Binary.gz", Attribute("Binary.gz", b"\xff\xfe **** \xe9")),
        ("jos\u00e9@example.com".encode(), "Binary", Attribute("Binary", b"****")),
        ("450.00", "Number", Attribute("Number", "450.00")),
        (bytes(range(256)), "Binary", Attribute("Binary", bytes(range(256)))),
    ],
)
def test_findings_in_values_of_every_type_are_masked(value: str | bytes, kind: str, expected: Attribute) -> None:
    assert detected(value, kind, card_numbers="mask", emails="mask") == {"note": expected}


@pytest.mark.parametrize("value", ["4111111111111111", b"\xff4111111111111111"])
def test_a_finding_to_be_dropped_takes_the_attribute_along(value: str | bytes) -> None:
    assert detected(value, card_numbers="drop") == {}


@pytest.mark.parametrize("action", ["drop", "mask", "hash"])
def test_a_finding_in_a_name_takes_the_attribute_along(action: str) -> None:
    assert detected("x", name="pan-4111111111111111", card_numbers=action) == {}


def test_a_rule_wins_over_a_detector() -> None:
    event = Event(b"{}", id="1", attributes={"mail": Attribute("String", "x@example.com")})
    result = stage(detect={"emails": "drop"}, attributes={"hash": ["mail"]}, hash={"key": KEY})(event)
    assert result.attributes["mail"].value == hmac.new(KEY.encode(), b"x@example.com", hashlib.sha256).hexdigest()
