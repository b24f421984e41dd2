"""Once a stage knows the keys of its events, it takes all levels in one pass: nothing else about it may change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream.errors import DeliveryError
from forkstream.event import Event
from forkstream.stages.sanitize import Sanitize
from tests.sanitize_kit import BODIES_UNTIL_KNOWN, KEY, ORDER, stage
from tests.unit.test_sanitize_properties import contradicting, decoded, documents, fitting, paths, spelled


def knowing(*bodies: bytes, **config: Any) -> Sanitize:
    """A stage that has met these bodies often enough."""
    sanitize = stage(**config)
    for _ in range(BODIES_UNTIL_KNOWN):
        for body in bodies:
            outcome(sanitize, body)
    return sanitize


def outcome(sanitize: Sanitize, body: bytes) -> object:
    """What becomes of a body: the decoded result, or the error's code and detail."""
    try:
        return decoded(sanitize(Event(body, id="1")).body)
    except DeliveryError as error:
        return error.code, error.detail


def compiled(sanitize: Sanitize) -> bool:
    return bool(sanitize._body and sanitize._body._shape)


@pytest.mark.parametrize(
    "body",
    [
        '{"payment":{"card-number":"1","pin":2,"id":3}}',
        '{"payment":{"Card-Number":"1","id":3}}',
        '{"PAYMENT":{"card-number":"1","id":3},"payment":{"id":1}}',
        '{"\\u0070ayment":{"\\u0063ard-number":"1","id":3}}',
        '{"payment":{"card-cvv":"1"},"payment":{"card-number":"1"}}',
        '{"payment":[1],"payment":{"card-number":"1"}}',
        '{ "payment" : { "card-number"\t:\n"1" , "id" : 3 } }',
        '{"payment":{"id":{"card-number":1}},"new":{"payment":{"card-number":1}}}',
        '{"payment":null,"id":null}',
        '{"payment":[{"card-number":"1"}]}',
        '{"payment":"card-number"}',
        '{"payment":{"card-number":"1"}',
        '{"payment":{"card-number":1}}}',
        '{"payment":{"card-number":01}}',
        '[{"payment":{"card-number":"1"}}]',
        "null",
        "{}",
        "",
    ],
)
def test_a_body_unlike_those_before_it_is_treated_as_if_it_were_the_first(body: str) -> None:
    rules = {"drop": ["payment.card-*"]}
    sanitize = knowing(ORDER, **rules)
    assert compiled(sanitize)
    assert outcome(sanitize, body.encode()) == outcome(stage(**rules), body.encode())


def test_an_object_in_an_array_may_have_a_key_that_none_had_before() -> None:
    sanitize = knowing(b'{"items":[{"id":1,"note":2},null]}', drop=["items[*].note"])
    assert compiled(sanitize)
    assert outcome(sanitize, b'{"items":[{"Note":1,"new":2},{"note":3},null]}') == {"items": [{"new": "2"}, {}, None]}


def test_bytes_that_are_no_utf8_fail_in_a_known_shape_too() -> None:
    sanitize = knowing(ORDER, drop=["payment.card-*"])
    body = ORDER.replace(b"John", b"\xff\xfe")
    assert outcome(sanitize, body) == ("not_utf8", f"byte {body.index(0xFF)} of {len(body)}")


def test_a_producer_of_ever_new_keys_costs_no_compilation_each_time() -> None:
    sanitize = stage(drop=["payment.card-*"])
    for number in range(2000):
        body = b'{"payment":{"card-number":1,"key-%d":2}}' % (number // BODIES_UNTIL_KNOWN)
        assert outcome(sanitize, body) == {"payment": {b"key-%d".decode() % (number // BODIES_UNTIL_KNOWN): "2"}}
    assert sanitize._body
    assert sanitize._body._compilations <= 32


def test_a_path_deeper_than_python_nests_blocks_still_applies() -> None:
    depth = 150
    body = b'{"a":' * depth + b'{"b":1,"c":2}' + b"}" * depth
    sanitize = knowing(body, drop=[".".join("a" * depth) + ".b"])
    assert compiled(sanitize)
    assert b"b" not in json.dumps(outcome(sanitize, body)).encode()


def test_a_key_that_json_escapes_is_met_again_and_again() -> None:
    body = b'{"a\\"b":{"x":1,"y":2}}'
    sanitize = knowing(body, drop=['"a\\"b".x'])
    assert outcome(sanitize, body) == {'a"b': {"y": "2"}}


@settings(deadline=None, max_examples=150)
@given(fitting(), st.lists(documents, max_size=2))
def test_what_was_met_before_changes_no_outcome(given: tuple[str, list[Any], list[Any]], others: list[str]) -> None:
    text, drops, keeps = given
    config: dict[str, Any] = {"drop": [spelled(path) for path in drops]}
    if keeps:
        config["keep"] = [spelled(path) for path in keeps]
    bodies = [text.encode(), *(other.encode() for other in others)]
    sanitize = knowing(*bodies, **config)
    for body in bodies:
        assert outcome(sanitize, body) == outcome(stage(**config), body)


@settings(deadline=None, max_examples=150)
@given(documents, documents, st.lists(paths, min_size=1, max_size=3), st.booleans())
def test_no_rule_is_weaker_for_a_body_that_follows_another(
    before: str, text: str, rules: list[Any], mask: bool
) -> None:
    if contradicting(rules):
        return
    places = [spelled(path) for path in rules]
    config = {"mask": places} if mask else {"hash": {"paths": places, "key": KEY}}
    sanitize = knowing(before.encode(), **config)
    assert outcome(sanitize, text.encode()) == outcome(stage(**config), text.encode())
