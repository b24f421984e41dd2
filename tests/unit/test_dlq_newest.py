"""The newest letters are found without reading all there are."""

from __future__ import annotations

import msgspec

from forkstream.dlq.newest import Newest
from forkstream.dlq.selection import CLOCK_SKEW, Selection
from forkstream.letters import Letter
from forkstream.testing.clock import run_on_fake_clock
from tests.dlq_kit import MemoryShelf, letters, store_of

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class CountingShelf(MemoryShelf):
    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    async def get(self, key: str) -> bytes:
        self.read += 1
        return await super().get(key)


def at(seconds: float, name: str) -> Letter:
    """A letter written at this time."""
    (letter,) = letters(1)
    number, text = int(seconds * 1000), ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        text = _ALPHABET[digit] + text
    return msgspec.structs.replace(letter, letter=text + letter.letter[10:], id=name, time=seconds)


def newest(shelf: MemoryShelf, limit: int) -> tuple[list[str], bool]:
    async def look() -> Newest:
        found = Newest(limit)
        await found.gather(store_of(shelf), Selection(fork="test"))
        return found

    found = run_on_fake_clock(look)
    return [entry.letter.id for entry in found.entries], found.more


def test_objects_that_are_too_old_are_not_read() -> None:
    shelf = CountingShelf()
    for number in range(200):
        shelf.bury([at(10_000.0 * (number + 1), str(number))], stored_at=10_000.0 * (number + 1))
    assert newest(shelf, 3) == (["199", "198", "197"], True)
    assert shelf.read < 40


def test_an_older_object_can_hold_a_newer_letter() -> None:
    shelf = MemoryShelf()
    # one that was written late, after its destination had been out of order for an hour
    shelf.bury([at(10_000, "held back"), at(13_500, "a")], stored_at=13_600)
    shelf.bury([at(12_000, "b")], stored_at=12_001)
    assert newest(shelf, 2) == (["a", "b"], True)


def test_clocks_that_differ_a_little_hide_nothing() -> None:
    shelf = MemoryShelf()
    shelf.bury([at(13_500, "a")], stored_at=13_600)
    shelf.bury([at(13_400 + CLOCK_SKEW, "b")], stored_at=13_400)
    assert newest(shelf, 1) == (["b"], True)


def test_exactly_as_many_as_there_are_leave_no_more() -> None:
    shelf = MemoryShelf()
    shelf.bury([at(1000, "a"), at(1001, "b")], stored_at=1002)
    assert newest(shelf, 2) == (["b", "a"], False)
    assert newest(shelf, 3) == (["b", "a"], False)
    assert newest(MemoryShelf(), 3) == ([], False)
