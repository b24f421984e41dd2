"""How a letter stands is told by the names of its markers alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.dlq.letter_id import is_letter_id, written_at
from forkstream.dlq.standing import Mark, Marker, Standing, State
from forkstream.ulid import ulid

LETTER = "01JDBX3QHK7Z0V5T1W2Y3Z4A5B"
markers = st.builds(
    Marker,
    st.just(LETTER),
    st.integers(1, 99_999),
    st.sampled_from(Mark),
    st.from_regex(r"[\w-]{0,64}", fullmatch=True),
)


@given(markers.filter(lambda marker: marker.code.isascii()))
def test_a_markers_name_says_all_of_it(marker: Marker) -> None:
    assert Marker.parse(marker.name) == marker


@given(st.text())
def test_no_code_makes_a_name_that_is_none(code: str) -> None:
    marker = Marker.parse(Marker(LETTER, 1, Mark.FAILED, code).name)
    assert marker is not None
    assert (marker.letter, marker.attempt, marker.mark) == (LETTER, 1, Mark.FAILED)
    assert len(marker.name) <= 255 - len(".0123456789abcdef.tmp")


@pytest.mark.parametrize(
    "name",
    [
        "", "x", LETTER, f"{LETTER}.1", f"{LETTER}.0.sent", f"{LETTER}.-1.sent", f"{LETTER}.1.lost", f"{LETTER}.1.sent.",
        f"{LETTER[:-1]}.1.sent", f"{LETTER[:-1]}I.1.sent", f"{LETTER}.1.failed.a.b", f"../{LETTER}.1.sent",
    ],
)  # fmt: skip
def test_what_is_no_marker_is_not_taken_for_one(name: str) -> None:
    assert Marker.parse(name) is None


def test_an_id_says_when_it_was_made() -> None:
    assert is_letter_id(ulid())
    assert written_at("01ARZ3NDEKTSV4RRFFQ69G5FAV") == 1469922850.259
    for other in (
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "../ARZ3NDEKTSV4RRFFQ69G5FAV",
        ulid() + "\n",
    ):
        assert not is_letter_id(other)


@pytest.mark.parametrize(
    ("names", "state", "attempts", "code"),
    [
        ([], State.WAITING, 0, ""),
        (["1.claimed"], State.INTERRUPTED, 1, ""),
        (["1.claimed", "1.sent"], State.REDRIVEN, 1, ""),
        (["1.claimed", "1.sent.mended"], State.REDRIVEN, 1, "mended"),
        (["1.claimed", "1.dropped.small"], State.DROPPED, 1, "small"),
        (["1.claimed", "1.failed.mapping"], State.FAILED, 1, "mapping"),
        (["1.failed.mapping"], State.FAILED, 1, "mapping"),  # the claim came behind the page that was being read
        (["1.claimed", "1.failed.mapping", "2.claimed"], State.INTERRUPTED, 2, ""),
        (["1.claimed", "2.claimed", "1.sent"], State.REDRIVEN, 2, ""),  # an interrupted one that was not
        (["9.claimed", "9.failed.x", "10.claimed"], State.INTERRUPTED, 10, ""),
    ],
)
def test_one_that_went_through_outweighs_all_others_else_the_last_attempt_counts(
    names: list[str], state: State, attempts: int, code: str
) -> None:
    found = [Marker.parse(f"{LETTER}.{name}") for name in names]
    for order in (found, found[::-1]):
        standing = Standing.of(marker for marker in order if marker)
        assert (standing.state, standing.attempts, standing.code) == (state, attempts, code)
