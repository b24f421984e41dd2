from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream.stages.detectors import find_card_numbers, find_emails
from tests.sanitize_kit import KEY, ORDER, sanitized

# The test numbers that card networks publish.
CARDS = [
    *("4111111111111111", "5500005555555559", "378282246310005", "30569309025904", "6011111111111117", "4222222222222"),
    *(
        "6304852176395",
        "63048521763949",
        "630485217639450",
        "6304852176394512",
        "63048521763945174",
        "630485217639451721",
        "6304852176394517285",
    ),
]
EMAIL = "john.doe@example.com"


def masked(value: str) -> str:
    """What is left of a string, the same whether it is written with escapes or without."""
    escaped, plain = (
        json.loads(
            sanitized(
                json.dumps({"v": value}, ensure_ascii=ascii_only), detect={"card_numbers": "mask", "emails": "mask"}
            )
        )
        for ascii_only in (True, False)
    )
    assert escaped == plain
    left: str = plain["v"]
    return left


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_of_all_lengths_are_found(card: str) -> None:
    assert find_card_numbers(card) == [(0, len(card))]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("4111111111111111", "****"),
        ("4111 1111 1111 1111", "****"),
        ("4111-1111-1111-1111", "****"),
        ("4111 - 1111 - 1111 - 1111", "****"),
        ("3782 822463 10005", "****"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "****"),
        ("4111\u00a01111\u20131111\u22121111", "****"),
        ("4111\t1111\n1111\r\n1111", "****"),
        ("card 4111111111111111, exp 10/22", "card ****, exp 10/22"),
        ("x4111111111111111y", "x****y"),
        ("4111111111111111 and 5500 0055 5555 5559", "**** and ****"),
        ("4111111111111111,5500005555555559", "****,****"),
        ("0000000000004111111111111111", "****"),
        ("17 4111 1111 1111 1111", "17 ****"),
        ("4111 1111 1111 1111 12/25", "**** 12/25"),
        ("4111 1111 1111 1111 10/22", "****/22"),  # the last 14 digits pass the check too
        ("\uff14\uff11\uff11\uff11 1111 1111 1111", "****"),
        ("\u0664\u0661\u0661\u0661111111111111", "****"),
    ],
)
def test_a_card_number_inside_a_text_is_masked(text: str, left: str) -> None:
    assert masked(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "1234 5678 9012 3456",
        "411111111111",
        "41111111111111110000000",
        "0000000000000000",
        "4111 1111 / 1111 1111",
        "4111    1111    1111    1111",
        "2018-12-15T23:41:11-08:00",
        "a7b8c9",
        "Hockey Jersey - Canucks - Large",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (EMAIL, "****"),
        ("mail to: John <john@mail.example.co.uk>, soon", "mail to: John <****>, soon"),
        ("a@b.c", "****"),
        ("first.last+tag@sub-domain.example.com.", "****."),
        ("o'hara@example.ie;x_y@example.ie", "****;****"),
        ("josé@exämple.es", "****"),
        ("用户@例子.广告", "****"),
        ("a@b@example.com", "a@****"),
        ("a@example.com|b@example.com", "********"),
        ("?from=a@example.com&to=b@example.com", "********"),
        ("@example.com-b@example.com", "@****"),
    ],
)
def test_an_email_address_inside_a_text_is_masked(text: str, left: str) -> None:
    assert masked(text) == left


def test_addresses_side_by_side_are_findings_of_their_own() -> None:
    assert find_emails("a@example.com|b@example.com") == [(0, 13), (13, 27)]


@pytest.mark.parametrize("text", ["@", "a@", "@b.com", "a@b", "a @b.com", "a@.com", "twitter: @name", "a@b..com"])
def test_what_is_no_email_address_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "-4111111111111111",
        "4111111111111111.0",
        "4111111111111111.00",
        "4.111111111111111e15",
        "4.111111111111111E+15",
        "41111111111111110e-1",
        "0.4111111111111111",
        "1.4111111111111111",
        "41111111.11111111",
        "6.011111111111117e15",
        "41111111111114e1",
        "42e14",
        "4.2E+15",
    ],
)
@pytest.mark.parametrize("place", ['{"v":%s}', "[%s]", '{"a":[{"b":[%s]}]}', "%s", '{"a":{"b":{"c":{"d":{"e":%s}}}}}'])
def test_a_card_number_written_as_a_number_is_masked_whole(number: str, place: str) -> None:
    body = sanitized(place % number, detect={"card_numbers": "mask"})
    assert body == (place % '"****"').encode()


@pytest.mark.parametrize(
    "number", ["15311", "450.00", "1544946071000", "1e15", "1e5000", "1e99999999999999999999", "0"]
)
def test_other_numbers_stay(number: str) -> None:
    body = f'{{"v":{number},"e":"\\u0040"}}'
    assert sanitized(body, detect={"card_numbers": "mask"}) == f'{{"v":{number},"e":"@"}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        '{"4111 1111 1111 1111":1}',
        '{"note for john.doe@example.com":1}',
        '{"a":{"b":{"c":{"d":{"e":{"f":{"4111111111111111":1}}}}}}}',
        '[[{"john.doe@example.com":{"4111111111111111":null}}]]',
    ],
)
@pytest.mark.parametrize("action", ["drop", "mask", "hash"])
@pytest.mark.parametrize("rules", [{}, {"drop": ["*.x", "*.*.x"]}])
def test_findings_in_keys_are_redacted_at_every_level(body: str, action: str, rules: dict[str, Any]) -> None:
    if rules and body.startswith("["):
        rules = {"drop": ["[*][*].x"]}
    elif rules:
        rules = {"drop": ["x.y"]}
    config = {"detect": {"card_numbers": action, "emails": action}, **rules}
    if action == "hash":
        config["hash"] = {"key": KEY}
    left = sanitized(body, **config)
    assert b"4111" not in left
    assert b"john" not in left
    assert json.loads(left) is not None


def test_a_redacted_key_keeps_its_value_unless_it_is_dropped() -> None:
    body = '{"john.doe@example.com":{"n":1.50},"x":2}'
    assert sanitized(body, detect={"emails": "mask"}) == b'{"****":{"n":1.50},"x":2}'
    assert sanitized(body, detect={"emails": "drop"}) == b'{"x":2}'


def test_dropping_takes_the_whole_string_and_its_key_along() -> None:
    body = '{"note":"mine is 4111111111111111","list":["4111111111111111","b"],"n":4111111111111111,"x":1}'
    assert sanitized(body, detect={"card_numbers": "drop"}) == b'{"list":["b"],"x":1}'
    deep = '{"a":[[[[[["4111111111111111",{"n":4111111111111111,"x":1},4111111111111111]]]]]]}'
    assert sanitized(deep, detect={"card_numbers": "drop"}) == b'{"a":[[[[[[{"x":1}]]]]]]}'


def test_a_card_number_has_one_hash_however_it_is_written() -> None:
    body = '["4111111111111111","4111 1111-1111 1111",4111111111111111,4111111111111111.0,"\uff14111111111111111"]'
    expected = hmac.new(KEY.encode(), b"4111111111111111", hashlib.sha256).hexdigest()
    assert json.loads(sanitized(body, detect={"card_numbers": "hash"}, hash={"key": KEY})) == [expected] * 5


def test_an_email_address_has_one_hash_in_any_case() -> None:
    body = '["John.Doe@Example.com","<john.doe@example.com>"]'
    expected = hmac.new(KEY.encode(), EMAIL.encode(), hashlib.sha256).hexdigest()
    assert json.loads(sanitized(body, detect={"emails": "hash"}, hash={"key": KEY})) == [expected, f"<{expected}>"]


@pytest.mark.parametrize(
    "body",
    [
        r'{"a":"\u0034111111111111111"}',
        r'{"a":"john.doe\u0040example.com"}',
        r'{"a":"4111\u00201111\u00201111\u00201111"}',
        r'{"a":"4111\/","\u0034111111111111111":1}',
        '{"a":"4111111111111111","a":"john.doe@example.com"}',
        '{"m":"{\\"card\\":\\"4111111111111111\\",\\"e\\":\\"john.doe@example.com\\"}"}',
        '[1,"4111111111111111"]',
        ' "4111111111111111" ',
        '{"deep":[[[[[["4111111111111111",{"x":"john.doe@example.com"},true,null]]]]]]}',
    ],
)
def test_neither_escapes_nor_duplicates_nor_depth_hide_a_finding(body: str) -> None:
    for detect in ({"card_numbers": "mask"}, {"emails": "mask"}, {"card_numbers": "mask", "emails": "mask"}):
        left = sanitized(body, detect=detect)
        assert "card_numbers" not in detect or b"11111111" not in left.replace(b" ", b"")
        assert "emails" not in detect or b"example" not in left


def test_detectors_are_off_by_default() -> None:
    assert b"4111111111111111" in sanitized('{"a":"4111111111111111","b":1}', drop=["b"])


def test_detectors_look_at_all_that_no_rule_has_replaced() -> None:
    body = json.loads(
        sanitized(
            ORDER.replace(b"1234 5678 9012 3456", b"4111 1111 1111 1111"),
            mask=[{"paths": ["payment.card-number"], "keep_last": 4}],
            hash={"paths": ["customer.id"], "key": KEY},
            detect={"card_numbers": "drop", "emails": "drop"},
        )
    )
    assert body["payment"]["card-number"] == "****1111"
    assert body["customer"] == {
        "id": hmac.new(KEY.encode(), b"65144", hashlib.sha256).hexdigest(),
        "name": "John Doe",
    }


@pytest.mark.unmeasured
def test_a_pseudonym_is_never_taken_for_a_finding() -> None:
    names = [f"user-{number}@example.com" for number in range(3000)]
    left = json.loads(
        sanitized(json.dumps(names), detect={"card_numbers": "mask", "emails": "hash"}, hash={"key": KEY})
    )
    assert left == [hmac.new(KEY.encode(), name.encode(), hashlib.sha256).hexdigest() for name in names]


def test_a_clean_body_keeps_its_bytes() -> None:
    body = b'{ "a" : [ 1.50, "Jos\xc3\xa9" ] }'
    assert sanitized(body, detect={"emails": "mask"}) == body


def _luhn(digits: str) -> bool:
    """The check as it is told in words: double every second digit from the right, add up the digits of the results."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


@settings(deadline=None)
@given(st.text(alphabet="0123456789", min_size=13, max_size=19))
def test_a_digit_string_is_found_exactly_if_it_passes_the_luhn_check(digits: str) -> None:
    stripped = digits.lstrip("0")
    assert bool(find_card_numbers(digits)) is (len(stripped) >= 13 and _luhn(stripped))


_groups = st.lists(st.text(alphabet="0145", min_size=1, max_size=9), max_size=9)
_gaps = st.sampled_from([" ", "-", "   ", "    ", "x", ""])


@settings(deadline=None, max_examples=300)
@given(
    st.builds(
        lambda groups, gaps: "".join(map("".join, zip(groups, gaps, strict=False))),
        _groups,
        st.lists(_gaps, min_size=9),
    )
)
def test_findings_are_those_of_a_naive_search(text: str) -> None:
    covered = {place for start, end in find_card_numbers(text) for place in range(start, end)}
    expected: set[int] = set()
    for start in range(len(text)):
        for end in range(start + 13, len(text) + 1):
            if _is_card(text, start, end):
                expected |= set(range(start, end))
    assert covered == expected


def _is_card(text: str, start: int, end: int) -> bool:
    """Whole digit groups, at most three separators between them, 13 to 19 digits after leading zeros."""
    piece = text[start:end]
    if not (piece[0].isdigit() and piece[-1].isdigit()) or "x" in piece:
        return False
    if text[start - 1 : start].isdigit() or text[end : end + 1].isdigit():
        return False
    if any(len(gap) > 3 for gap in "".join("#" if c.isdigit() else c for c in piece).split("#")):
        return False
    digits = "".join(c for c in piece if c.isdigit()).lstrip("0")
    return 13 <= len(digits) <= 19 and _luhn(digits)


@settings(deadline=None)
@given(st.text(alphabet="ab.@ -", max_size=30))
def test_what_is_left_of_a_text_holds_no_email_address(text: str) -> None:
    spans = find_emails(text)
    left = text
    for start, end in reversed(spans):
        left = left[:start] + "\n" + left[end:]
    assert find_emails(left) == []


@pytest.mark.unmeasured
@pytest.mark.parametrize("unit", ["1 ", "7", "0-", "a@", "a.", "x@a.", "a%", "1   ", "12 34567890123x"])
def test_a_huge_hostile_text_is_searched_without_backtracking(unit: str) -> None:
    text = unit * (300_000 // len(unit))  # anything but linear would not end within the test's time limit
    assert find_card_numbers(text + "@") is not None
    assert find_emails(text + "@") is not None
