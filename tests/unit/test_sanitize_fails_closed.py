"""Contract 4: an event that the stage cannot process never goes on, and its error tells nobody what was in it."""

from __future__ import annotations

from typing import Any

import pytest

from forkstream.errors import PermanentError, UndecodableError
from tests.sanitize_kit import KEY, refused, sanitized

CONFIGS: list[dict[str, Any]] = [
    {"drop": ["a.b"]},
    {"keep": ["a.b"]},
    {"mask": ["a.b"]},
    {"hash": {"paths": ["a.b"], "key": KEY}},
    {"detect": {"card_numbers": "mask", "emails": "drop"}},
    {"drop": ["a.b"], "detect": {"emails": "mask"}},
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"plain text",
        b'{"a":{"b":1}',
        b'{"a":{"b":1}} x',
        b'{"a":{"b":1},}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":"\x01"}',
        b'{"x":nul}',
        b'{"x":"\\q"}',
        b'{"x":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        b"{'a':1}",
    ],
)
def test_a_body_that_is_not_json_fails(config: dict[str, Any], body: bytes) -> None:
    assert refused(body, **config).code == "not_json"


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"x":"\xff"}',
        b'{"a":{"c":"\xc3"}}',
        b'{"x":{"deep":["\xed\xa0\x80"]}}',
        b'{"x":"\xc0\xa2"}',
        b'{"\xff":1}',
        '{"a":{"b":"\xe9"}}'.encode("latin-1"),
        '{"a":{}}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_not_utf8_fails_also_where_no_rule_looks(config: dict[str, Any], body: bytes) -> None:
    assert refused(body, **config).code == "not_utf8"


@pytest.mark.parametrize("config", [*CONFIGS, {"mask": ["a"]}, {"hash": {"paths": ["a"], "key": KEY}}])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":{"b":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"x":' + b'{"@":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    ],
)
def test_a_body_that_is_nested_too_deep_fails(config: dict[str, Any], body: bytes) -> None:
    assert refused(body, **config).code in ("nested_too_deep", "not_an_object")


@pytest.mark.parametrize("depth", range(100, 1100, 25))
@pytest.mark.unmeasured
def test_no_depth_at_all_makes_anything_but_a_delivery_error(depth: int) -> None:
    for body in (b'{"a":' * depth + b'"x@y.com"' + b"}" * depth, b"[" * depth + b'"x@y.com"' + b"]" * depth):
        try:
            assert b"x@y.com" not in sanitized(body, detect={"emails": "mask"})
        except UndecodableError as error:
            assert error.code == "nested_too_deep"  # noqa: PT017  # how deep is too deep is the interpreter's to say


@pytest.mark.parametrize(
    ("path", "body", "code", "detail"),
    [
        ("a.b", '{"a":[{"b":1}]}', "not_an_object", "a: expected an object, found an array"),
        ("a.b", '{"a":"{\\"b\\":1}"}', "not_an_object", "a: expected an object, found a string"),
        ("a.b", '{"a":1.5}', "not_an_object", "a: expected an object, found a number"),
        ("a.b", '{"a":true}', "not_an_object", "a: expected an object, found true"),
        ("a.b", '{"A":false}', "not_an_object", "a: expected an object, found false"),
        ("a.b.c", '{"a":{"b":[]}}', "not_an_object", "a.b: expected an object, found an array"),
        ("a[*].b", '{"a":{"b":1}}', "not_an_array", "a: expected an array, found an object"),
        ("a[0]", '{"a":"x"}', "not_an_array", "a: expected an array, found a string"),
        ("a[*].b", '{"a":[{},[]]}', "not_an_object", "a[*]: expected an object, found an array"),
        ("*.b", '{"a":{"b":1},"c":[{"b":2}]}', "not_an_object", "*: expected an object, found an array"),
        ("*.b", '{"a":{"b":1},"c":"text"}', "not_an_object", "*: expected an object, found a string"),
        ("a", "[]", "not_an_object", "the body: expected an object, found an array"),
        ("a", ' "text"', "not_an_object", "the body: expected an object, found a string"),
        ("a", "null", "not_an_object", "the body: expected an object, found null"),
        ("[*].a", "{}", "not_an_array", "the body: expected an array, found an object"),
        ("[*].a", "null", "not_an_array", "the body: expected an array, found null"),
    ],
)
@pytest.mark.parametrize("rule", ["drop", "keep", "mask", "hash"])
def test_a_parent_of_the_wrong_type_fails_the_event(rule: str, path: str, body: str, code: str, detail: str) -> None:
    config: dict[str, Any] = {rule: {"paths": [path], "key": KEY} if rule == "hash" else [path]}
    if rule == "keep":
        body = body.replace('"A"', '"a"')  # keep compares exactly
    error = refused(body, **config)
    assert isinstance(error, UndecodableError)
    assert (error.code, error.detail) == (code, detail)


def test_rules_that_meet_in_one_value_as_object_and_as_array_fail_it() -> None:
    config = {"drop": ["pay*.number", "*ment[*].number"]}
    for body in ('{"payment":{"number":1}}', '{"payment":[{"number":1}]}'):
        assert refused(body, **config).code == "rules_contradict"
    assert sanitized('{"pay":{"number":1},"shipment":[{"number":1}],"payment":null}', **config) == (
        b'{"pay":{},"shipment":[{}],"payment":null}'
    )


def test_a_body_that_is_a_finding_to_be_dropped_fails() -> None:
    assert refused('"4111 1111 1111 1111"', detect={"card_numbers": "drop"}).code == "nothing_left"


def test_keys_that_would_become_the_same_fail() -> None:
    body = '{"4111111111111111":1,"5500000000000004":2}'
    assert refused(body, detect={"card_numbers": "mask"}).code == "keys_collide"
    assert refused('{"****":0,"4111111111111111":1}', detect={"card_numbers": "mask"}).code == "keys_collide"


def test_a_number_that_has_no_canonical_form_fails_its_hash() -> None:
    error = refused('{"a":1e99999999999999999999}', hash={"paths": ["a"], "key": KEY})
    assert error.code == "number_out_of_range"


def test_a_whole_number_of_thousands_of_digits_fails_where_it_has_to_be_read() -> None:
    body = '{"a":%s,"b":1}' % ("7" * 5000)
    assert refused(body, mask=["a"]).code == "not_json"
    assert sanitized(body, drop=["b"]) == b'{"a":%s}' % (b"7" * 5000)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "body",
    [
        '{"a":["PLANTED"]}',
        '{"a":"PLANTED"}',
        '"PLANTED"',
        '["PLANTED"]',
        '{"a":{"PLANTED":{"PLANTED":1}}} PLANTED',
        '{"a":{"b":"PLANTED',
        '{"a":PLANTED}',
        '{"PLANTED":"PLANTED\\ud800"}',
        '{"PLANTED":PLANTED}',
    ],
)
def test_an_error_quotes_neither_a_value_nor_a_key_of_the_event(config: dict[str, Any], body: str) -> None:
    for planted in ("PLANTED", "PLANTED@example.com", "4111111111111111"):
        given = body.replace("PLANTED", planted).encode()
        for damaged in (given, given + b"\xff"):
            try:
                sanitized(damaged, **config)
            except PermanentError as error:
                said = f"{error!r} {error} {error.code} {error.detail}"
                assert planted not in said  # some of the bodies pass some of the configs
