from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from forkstream.event import Event
from forkstream.stages.sanitize import Sanitize
from tests.sanitize_kit import KEY, ORDER, sanitized, stage


def pseudonym(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_card_data_is_dropped_and_nothing_else_changes() -> None:
    expected = json.loads(ORDER)
    expected["payment"] = {"id": 2509, "amount": 450.00, "currency": "usd", "method": "credit"}
    body = sanitized(ORDER, drop=["payment.card-*"])
    assert json.loads(body) == expected
    assert b'"amount":450.00' in body


@pytest.mark.parametrize(
    ("paths", "before", "after"),
    [
        (["a"], '{"a":1,"b":2}', '{"b":2}'),
        (["a.b"], '{"a":{"b":1,"c":2}}', '{"a":{"c":2}}'),
        (["a.b"], '{"a":{"b":{"c":1}}}', '{"a":{}}'),
        (["*"], '{"a":1,"b":2}', "{}"),
        (["*.x"], '{"a":{"x":1,"y":2},"b":{"x":3}}', '{"a":{"y":2},"b":{}}'),
        (["items[*].note"], '{"items":[{"note":1},{"id":2},{"id":3,"note":4}]}', '{"items":[{},{"id":2},{"id":3}]}'),
        (["items[*]"], '{"items":[1,2]}', '{"items":[]}'),
        (["items[0].note"], '{"items":[{"note":1},{"note":2}]}', '{"items":[{},{"note":2}]}'),
        (["items[1]"], '{"items":[1,2,3]}', '{"items":[1,3]}'),
        (["items[0].a", "items[*].b"], '{"items":[{"a":1,"b":2},{"a":3,"b":4}]}', '{"items":[{},{"a":3}]}'),
        (["[*].a"], '[{"a":1},{"b":2}]', '[{},{"b":2}]'),
        (["[*][*].a"], '[[{"a":1}],[]]', "[[{}],[]]"),
        (['a."b.c"'], '{"a":{"b.c":1,"b":{"c":2}}}', '{"a":{"b":{"c":2}}}'),
        (['"a*"'], '{"a*":1,"ab":2}', '{"ab":2}'),
        (['""'], '{"":1,"a":2}', '{"a":2}'),
        (["a.b", "a.c.d", "*.c.e"], '{"a":{"b":1,"c":{"d":2,"e":3,"f":4}}}', '{"a":{"c":{"f":4}}}'),
        (["missing.parent.x"], '{"a":1}', '{"a":1}'),
        (["a.b.c"], '{"a":null}', '{"a":null}'),
        (["a[*].b"], '{"a":null}', '{"a":null}'),
        (["größe"], '{"größe":1,"b":2}', '{"b":2}'),
    ],
)
def test_a_dropped_path_leaves_neither_key_nor_value(paths: list[str], before: str, after: str) -> None:
    assert sanitized(before, drop=paths) == after.encode()


@pytest.mark.parametrize(
    ("paths", "before", "after"),
    [
        (["a"], '{"a":{"x":1},"b":2}', '{"a":{"x":1}}'),
        (["a.x"], '{"a":{"x":1,"y":2},"b":2}', '{"a":{"x":1}}'),
        (["a.*-id"], '{"a":{"x-id":1,"y":2}}', '{"a":{"x-id":1}}'),
        (["items[*].id"], '{"items":[{"id":1,"note":2},{"note":3}],"b":4}', '{"items":[{"id":1},{}]}'),
        (["items[0]"], '{"items":[1,2,3]}', '{"items":[1]}'),
        (["a.x", "a"], '{"a":{"x":1,"y":2}}', '{"a":{"x":1,"y":2}}'),
        (["a.x"], '{"b":2}', "{}"),
        (["a.x"], '{"a":null,"b":2}', '{"a":null}'),
    ],
)
def test_only_what_is_listed_is_kept(paths: list[str], before: str, after: str) -> None:
    assert sanitized(before, keep=paths) == after.encode()


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ('"John Doe"', '"****"'),
        ('""', '"****"'),
        ("450.00", '"****"'),
        ("true", '"****"'),
        ('{"b":1}', '"****"'),
        ("[1,2]", '"****"'),
        ("null", "null"),
    ],
)
def test_a_mask_replaces_a_value_of_any_type_but_null(value: str, masked: str) -> None:
    assert sanitized(f'{{"a":{value}}}', mask=["a"]).decode() == f'{{"a":{masked}}}'


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ('"1234 5678 9012 3456"', '"****3456"'),
        ('"12345678"', '"****5678"'),
        ('"1234567"', '"****"'),
        ('"123"', '"****"'),
        ("1234567890.50", '"****0.50"'),
        ("1234567890123456", '"****3456"'),
        ('["1234 5678 9012 3456"]', '"****"'),
    ],
)
def test_a_mask_keeps_the_last_characters_of_what_is_twice_as_long(value: str, masked: str) -> None:
    body = sanitized(f'{{"a":{value}}}', mask=[{"paths": ["a"], "keep_last": 4}])
    assert body.decode() == f'{{"a":{masked}}}'


def test_a_hash_is_the_hmac_of_a_strings_own_text() -> None:
    body = sanitized(ORDER, hash={"paths": ["customer.email"], "key": KEY})
    assert json.loads(body)["customer"]["email"] == pseudonym("john.doe@example.com")


@pytest.mark.parametrize(
    "spellings",
    [
        ["1", "1.0", "1e0", "10e-1", "0.1E1", "1.000", '"1"'],
        ["0", "-0", "0.0", "-0.0", "0e7"],
        ["-12.50", "-12.5", "-125e-1", "-0.1250e2"],
        ["1e20", "100000000000000000000", "1.0E+20"],
        ["1e400", "10e399", "0.1e401"],
        ["1e-400", "0.1e-399"],
        ['"é"', r'"\u00e9"', r'"\u00E9"'],
        ['{"a":1,"b":[2.0]}', '{ "b": [2], "a": 1.0 }', r'{"\u0061":1,"b":[2]}', '{"a":0,"a":1,"b":[2e0]}'],
    ],
)
def test_the_same_value_has_the_same_hash_however_json_spells_it(spellings: list[str]) -> None:
    hashes = {sanitized(f'{{"a":{text}}}', hash={"paths": ["a"], "key": KEY}) for text in spellings}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "values",
    [
        ["1", "10", "100", "0.1", "0.01", "-1", "0"],
        ["1e400", "1e401", "-1e400"],
        ["123456789012345678901234567890.1", "123456789012345678901234567890.2"],
        ['"a"', '"A"', '"a "', '["a"]', '{"a":"a"}', "[]", "{}", "true", "false"],
    ],
)
def test_different_values_have_different_hashes(values: list[str]) -> None:
    assert len({sanitized(f'{{"a":{text}}}', hash={"paths": ["a"], "key": KEY}) for text in values}) == len(values)


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ('"450.00"', "450.00"),
        ("450.00", "450"),
        ("-0.0", "0"),
        ("1e2", "100"),
        ("0.050", "0.05"),
        ("-12.34", "-12.34"),
        ("1e64", "1" + "0" * 64),
        ("1e65", "1e65"),
        ("12.5e-100", "125e-101"),
        ("1e999999999", "1e999999999"),  # its digits would not fit into memory
        ("true", "true"),
        ('{"b":[1.0,"é",null],"a":{}}', '{"a":{},"b":[1,"é",null]}'),
    ],
)
def test_what_is_hashed_can_be_made_by_another_program(value: str, canonical: str) -> None:
    body = sanitized(f'{{"a":{value}}}', hash={"paths": ["a"], "key": KEY})
    assert json.loads(body) == {"a": pseudonym(canonical)}


def test_another_key_makes_another_hash() -> None:
    other = KEY[::-1]
    assert sanitized('{"a":1}', hash={"paths": ["a"], "key": KEY}) != sanitized(
        '{"a":1}', hash={"paths": ["a"], "key": other}
    )


def test_null_stays_null_under_a_hash() -> None:
    assert sanitized('{"a":null}', hash={"paths": ["a"], "key": KEY}) == b'{"a":null}'


def test_where_several_rules_fit_one_place_the_one_that_leaves_least_wins() -> None:
    body = sanitized(
        '{"a":"secret value","b":"secret value","c":"secret value","d":"secret value","e":5}',
        keep=["a", "b", "c", "d"],
        drop=["a", "e"],
        mask=[{"paths": ["a", "b", "c"], "keep_last": 4}, "b"],
        hash={"paths": ["a", "b", "c", "d"], "key": KEY},
    )
    assert json.loads(body) == {"b": "****", "c": "****alue", "d": pseudonym("secret value")}


def test_a_rule_below_a_replaced_value_has_nothing_left_to_do() -> None:
    body = sanitized('{"a":{"b":[1]},"c":{"b":1}}', mask=["a"], drop=["a.b[*].x", "c.b"])
    assert json.loads(body) == {"a": "****", "c": {}}


def test_keep_goes_first_so_that_no_rule_brings_back_what_it_drops() -> None:
    assert sanitized('{"a":1,"b":2}', keep=["a"], mask=["b"]) == b'{"a":1}'


@pytest.mark.parametrize("rule", ["drop", "mask", "hash"])
def test_rules_find_a_key_in_any_case_unless_told_otherwise(rule: str) -> None:
    paths = ["payment.card-*"]
    config = {rule: {"paths": paths, "key": KEY} if rule == "hash" else paths}
    body = '{"Payment":{"CARD-Number":"x"},"PAYMENT":{},"payment":{"card-number":"x"}}'
    assert b'"x"' not in sanitized(body, **config)
    assert sanitized(body, **config, case="sensitive").count(b'"x"') == 1


@pytest.mark.parametrize("key", ["ADDRESS", "addre\u017f\u017f", "addre\u00df"])
def test_any_case_is_that_of_unicode(key: str) -> None:
    assert sanitized(f'{{"{key}":1}}', drop=["address"]) == b"{}"


def test_keep_compares_keys_exactly() -> None:
    assert sanitized('{"a":1,"A":2}', keep=["a"]) == b'{"a":1}'


@pytest.mark.parametrize(
    "body",
    [
        '{"payment":{"card-number":"4111"},"payment":{}}',
        '{"payment":{"card-number":"4111","card-number":"4111"}}',
        r'{"payment":{"card\u002dnumber":"4111"}}',
        r'{"pa\u0079ment":{"card-number":"4111"},"payment":{}}',
        r'{"payment":{},"pa\u0079ment":{"card-number":"4111"}}',
    ],
)
@pytest.mark.parametrize("config", [{"drop": ["payment.card-*"]}, {"keep": ["payment.id"]}])
def test_a_key_written_twice_or_with_escapes_gets_nothing_past_a_rule(body: str, config: dict[str, list[str]]) -> None:
    assert sanitized(body, **config) == b'{"payment":{}}'


@pytest.mark.parametrize(
    "number", ["450.00", "1e5", "1E+5", "-0.0", "1e99999999999999999999", "0.10", "123456789012345678901234567890.10"]
)
def test_numbers_keep_their_digits(number: str) -> None:
    config = {"drop": ["x"], "mask": ["a.y"], "detect": {"emails": "mask"}}
    body = f'{{"a":{{"n":{number},"l":[{number}],"@":{number}}},"n":{number}}}'
    assert sanitized(body, **config) == body.encode()


def test_the_same_stage_takes_events_of_any_shape_one_after_another() -> None:
    sanitize = stage(drop=["*.secret"])
    for number in range(3000):
        body = f'{{"key-{number}":{{"secret":1,"n":{number}}}}}'.encode()
        assert sanitize(Event(body, id="1")).body == b'{"key-%d":{"n":%d}}' % (number, number)
        assert sanitize(Event(b'{"%s":{"secret":1}}' % (b"k" * number), id="1")).body.endswith(b'":{}}')
    assert _remembered(sanitize) <= 1024 * 64, "no producer may fill the memory with its keys"


def _remembered(sanitize: Sanitize) -> int:
    """The characters of all the keys that a stage holds on to."""
    assert sanitize._body is not None
    return sum(len(key) for level in sanitize._body._levels.values() for key in getattr(level, "_memo", ()))


def test_the_given_event_is_left_as_it_was() -> None:
    event = Event(ORDER, id="1", sent_at=5.0, receive_count=2, group="g")
    _ = event.data
    result = stage(drop=["payment"])(event)
    assert event.body == ORDER
    assert isinstance(result.data, dict)
    assert "payment" not in result.data
    assert (result.id, result.sent_at, result.receive_count, result.group) == ("1", 5.0, 2, "g")


def test_what_an_earlier_stage_made_is_sanitised_too() -> None:
    event = Event(b"{}", id="1").with_(data={"a": 1, "b": 2})
    assert stage(drop=["a"])(event).body == b'{"b":2}'


def test_the_stage_says_that_it_sanitises() -> None:
    assert stage(drop=["a"]).sanitizes
