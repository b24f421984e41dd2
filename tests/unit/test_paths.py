from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream.fields.paths import Index, Key, Path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("payment", [Key(("payment",))]),
        ("payment.card-*", [Key(("payment",)), Key(("card-", ""))]),
        ("*.x", [Key(("", "")), Key(("x",))]),
        ("a*b*c", [Key(("a", "b", "c"))]),
        ("items[*].note", [Key(("items",)), Index(None), Key(("note",))]),
        ("items[0].x", [Key(("items",)), Index(0), Key(("x",))]),
        ("[*][12]", [Index(None), Index(12)]),
        ('a."b.c"', [Key(("a",)), Key(("b.c",))]),
        ('"card."*', [Key(("card.", ""))]),
        ('"*"', [Key(("*",))]),
        (r'"\u00e9 \"x\""', [Key(('é "x"',))]),
        ('a.""', [Key(("a",)), Key(("",))]),
        ("größe.@type", [Key(("größe",)), Key(("@type",))]),
    ],
)
def test_a_path_reads_as_its_steps(text: str, steps: list[Key | Index]) -> None:
    assert list(Path.parse(text).steps) == steps


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        (" ", "no key"),
        (".a", "no key where one should be, after character 0"),
        ("a.", "no key where one should be, after character 2"),
        ("a..b", "after character 2"),
        ("a.[0]", "after character 2"),
        ("a[", "'[' at character 2"),
        ("a[]", "'[' at character 2"),
        ("a[-1]", "'[' at character 2"),
        ("a[*]b", "'b' at character 5"),
        ("a b", "' ' at character 2 needs quotes"),
        ("a**", "'*' at character 2"),
        (r"a\.b", "at character 2"),
        ('"a', "no key"),
        (r'"\x"', "invalid escape"),
        ("$.payment", "without a '$'"),
        ("/payment/card", "without a '/'"),
    ],
)
def test_what_is_no_path_is_refused_by_name_with_what_would_fit(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        Path.parse(text)
    assert repr(text) in str(refused.value)
    assert problem in str(refused.value)
    assert "items[*].note" in str(refused.value)


@pytest.mark.parametrize(
    ("glob", "fits", "misses"),
    [
        ("card-*", ["card-", "card-number", "card-a-b"], ["card", "Card-number", "xcard-number"]),
        ("*", ["", "anything", "a.b"], []),
        ("*-id", ["-id", "a-id", "-id-id"], ["id", "a-id2"]),
        ("a*b*c", ["abc", "aXbYc", "abbc", "abcbc"], ["acb", "ab", "aXc", "bc"]),
        ("aa*aa", ["aaaa", "aaXaa"], ["aaa", "aa"]),
        ("number", ["number"], ["numbers", "Number", ""]),
    ],
)
def test_a_star_stands_for_any_characters_within_one_key(glob: str, fits: list[str], misses: list[str]) -> None:
    (key,) = Path.parse(glob).steps
    assert isinstance(key, Key)
    assert [text for text in [*fits, *misses] if key.matches(text)] == fits


def test_a_folded_key_matches_keys_in_any_case() -> None:
    folded = Key.glob("Card-*Straße").folded()
    assert folded.matches("CARD-x-STRASSE".casefold())


def test_a_position_matches_itself_and_a_star_every_position() -> None:
    assert [n for n in range(3) if Index(1).matches(n)] == [1]
    assert [n for n in range(3) if Index(None).matches(n)] == [0, 1, 2]


@pytest.mark.parametrize(("text", "literal"), [("a.b[0]", True), ("a.*", False), ("a[*]", False), ('a."*"', True)])
def test_a_path_without_wildcards_is_literal(text: str, literal: bool) -> None:
    assert Path.parse(text).is_literal is literal


_steps = st.one_of(
    st.builds(Index, st.none() | st.integers(0, 999_999_999)),
    st.builds(Key, st.lists(st.text(), min_size=1, max_size=4).map(tuple)).filter(
        lambda key: "" not in key.pieces[1:-1]  # two stars in a row are one
    ),
)


@settings(deadline=None)
@given(st.lists(_steps, min_size=1, max_size=5))
def test_every_path_is_spelled_so_that_it_reads_back(steps: list[Key | Index]) -> None:
    path = Path(tuple(steps))
    assert Path.parse(str(path)) == path
