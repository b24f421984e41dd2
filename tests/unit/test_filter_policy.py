"""What AWS documents of filter policies, as a table: "Amazon SNS subscription filter policies" and the pages below it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

import pytest

from forkstream.event import Attribute, Drop, Event, Json
from forkstream.ports import Context
from forkstream.stages.filter import Filter, FilterConfig
from tests.filter_cases import ATTRIBUTES, BODIES, TRANSACTION, Case


def passes(policy: Mapping[str, object], event: Event, scope: str) -> bool:
    config = FilterConfig(policy={**policy}, unmatched="drop", scope="body" if scope == "body" else "attributes")
    return Filter(config, Context(fork="f"))(event) is event


@pytest.mark.parametrize("case", ATTRIBUTES, ids=str)
def test_attributes_pass_as_aws_documents_it(case: Case) -> None:
    event = Event(b"not looked at", id="1", attributes=case.message)
    assert passes(case.policy, event, "attributes") is case.passes


@pytest.mark.parametrize("case", BODIES, ids=str)
def test_bodies_pass_as_aws_documents_it(case: Case) -> None:
    assert passes(case.policy, Event(json.dumps(case.message).encode(), id="1"), "body") is case.passes


@pytest.mark.parametrize(
    ("policy", "accepted"),
    [
        ({"store": ["example_corp"], "event": [{"anything-but": "order_cancelled"}],
          "customer_interests": ["rugby", "football", "baseball"], "price_usd": [{"numeric": [">=", 100]}]}, True),
        ({"store": ["example_corp"], "event": ["order_cancelled"], "encrypted": [False],
          "customer_interests": ["basketball", "baseball"]}, False),
    ],
)  # fmt: skip
def test_the_example_transaction_is_accepted_and_rejected(policy: dict[str, object], accepted: bool) -> None:
    """See "Example filter policies"."""
    assert passes(policy, Event(b"", id="1", attributes=TRANSACTION), "attributes") is accepted


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        ({"numeric": ["=", 301.5]}, "301.500009", True),
        ({"numeric": ["=", 301.5]}, "301.50001", False),
        ({"numeric": [">", 100]}, "100.000009", False),
        ({"numeric": ["=", 0.1]}, "0.1", True),
        ({"numeric": ["<=", 0.3]}, "0.30000000000000004", True),
        ({"numeric": [">=", 100]}, "123456789012345678901234567890.5", True),
        ({"numeric": [">=", 100]}, "1e999", True),
        ({"numeric": [">=", 100]}, "-1e999", False),
        ({"numeric": ["=", 7]}, "007", True),
        ({"numeric": ["=", 0.5]}, ".5", True),
        ({"numeric": ["=", 5]}, "+5.", True),
        ({"numeric": [">=", 0]}, "NaN", False),
        ({"numeric": [">=", 0]}, "1_000", False),
        (100, "1e2", True),
        (100, "100.1", False),
        ("100", "100", False),
    ],
)
def test_numbers_are_compared_exactly_to_five_digits(rule: object, value: str, fits: bool) -> None:
    event = Event(b"", id="1", attributes={"amount": Attribute("Number", value)})
    assert passes({"amount": [rule]}, event, "attributes") is fits


def test_a_number_written_as_text_is_text() -> None:
    event = Event(b"", id="1", attributes={"amount": Attribute("String", "100")})
    assert not passes({"amount": [{"numeric": ["=", 100]}]}, event, "attributes")
    assert not passes({"amount": [100]}, event, "attributes")


@pytest.mark.parametrize(("wanted", "value"), [(True, "1"), (1, "true"), (None, "0"), (0, "null"), (False, '""')])
def test_values_of_different_kinds_are_different(wanted: object, value: str) -> None:
    assert not passes({"x": [wanted]}, Event(f'{{"x":{value}}}'.encode(), id="1"), "body")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("a*", "a", True),
        ("*a*b*", "xaxbx", True),
        ("a*a", "a", False),
        ("ab*bc", "abc", False),
        ("a*b*c", "abxbc", True),
        ("a*bc*bc", "abcbc", True),
        ("a*bc*bc", "abc", False),
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        (r"a\\*", "a\\b", True),
        ("abc", "abcd", False),
        ("*.[x]", "file.[x]", True),
        ("*.[x]", "file.x", False),
        ("a*b", "a\nb", True),
    ],
)
def test_wildcards(pattern: str, text: str, fits: bool) -> None:
    event = Event(b"", id="1", attributes={"x": Attribute("String", text)})
    assert passes({"x": [{"wildcard": pattern}]}, event, "attributes") is fits
    assert passes({"x": [{"anything-but": {"wildcard": pattern}}]}, event, "attributes") is not fits


def test_a_wildcard_with_many_stars_takes_no_longer_than_one() -> None:
    body = {"x": "a" * 200_000}
    event = Event(json.dumps(body).encode(), id="1")
    assert not passes({"x": [{"wildcard": "*" + "a*" * 30 + "b"}]}, event, "body")


def test_one_object_of_a_list_has_to_fit_all_that_is_said_below() -> None:
    policy = {"items": {"sku": ["a"], "quantity": [{"numeric": [">", 1]}]}}
    assert passes(policy, Event(b'{"items":[{"sku":"b"},{"sku":"a","quantity":2}]}', id="1"), "body")
    assert not passes(policy, Event(b'{"items":[{"sku":"b","quantity":2},{"sku":"a","quantity":1}]}', id="1"), "body")


def test_a_list_nested_ten_thousand_deep_is_no_trouble() -> None:
    event = Event(b"", id="1", _data={"x": _nested(10_000, "a")})  # nothing could decode it, or encode it
    assert passes({"x": ["a"]}, event, "body")


def _nested(depth: int, value: Json) -> Json:
    for _ in range(depth):
        value = [value]
    return value


def test_a_body_that_is_no_object_fits_no_policy_and_says_why() -> None:
    config = FilterConfig(policy={"x": [{"exists": False}]}, unmatched="drop", scope="body")
    stage = Filter(config, Context(fork="f"))
    for body in (b"[1]", b"text", b"\xff", b"", b"null"):
        assert stage(Event(body, id="1")) == Drop("invalid_body")
    assert stage(Event(b'{"x":1}', id="1")) == Drop("unmatched")


def test_binary_attributes_are_ignored() -> None:
    event = Event(b"", id="1", attributes={"x": Attribute("Binary", b"a")})
    assert passes({"x": [{"exists": False}]}, event, "attributes")
    assert not passes({"x": [{"exists": True}]}, event, "attributes")


def test_an_array_that_is_no_json_is_text() -> None:
    event = Event(b"", id="1", attributes={"x": Attribute("String.Array", "[oops")})
    assert passes({"x": [{"prefix": "[oo"}]}, event, "attributes")
    assert not passes({"x": ["oops"]}, event, "attributes")


def test_numbers_of_a_body_may_be_decimals_already() -> None:
    event = Event(b"", id="1").with_(data={"x": Decimal("301.50")})
    assert passes({"x": [{"numeric": ["=", 301.5]}]}, event, "body")
