"""A selection of dead letters: an event's id tells neither when it failed nor how often."""

from __future__ import annotations

from forkstream.dlq.selection import CLOCK_SKEW, Selection
from forkstream.ulid import ulid
from tests.dlq_kit import letters


def test_a_letter_is_taken_by_its_own_id_or_by_its_events() -> None:
    one, two, three = letters(3)
    selection = Selection(fork="test", letters=frozenset({one.letter}), origins=frozenset({two.id}))
    assert [selection.takes(each) for each in (one, two, three)] == [True, True, False]
    assert Selection(fork="test").takes(three)
    assert not Selection(fork="test", origins=frozenset({two.id}), code="other").takes(two)


def test_letters_by_their_own_ids_end_a_search_early_and_those_of_an_event_never() -> None:
    name = ulid()
    mine = Selection(fork="test", letters=frozenset({name}))
    assert mine.complete({name})
    assert mine.stored_since > 0
    either = Selection(fork="test", letters=frozenset({name}), origins=frozenset({"e"}))
    assert not either.complete({name})
    assert either.stored_since == -CLOCK_SKEW
