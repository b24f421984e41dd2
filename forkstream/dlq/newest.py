"""The newest letters of a store."""

from __future__ import annotations

from contextlib import aclosing

from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.selection import CLOCK_SKEW, Selection
from forkstream.dlq.store import Store


class Newest:
    """The ``limit`` newest letters, the newest first, of which as few objects are read as will do.

    Of a queue, which has no order, they are the first that it hands out. ``more`` tells whether there are others.
    """

    def __init__(self, limit: int) -> None:
        self.entries: list[Entry] = []
        self.unreadable: list[Unreadable] = []
        self.more = False
        self._limit = limit

    async def gather(self, store: Store, selection: Selection) -> None:
        """Look until no object that is left can hold a newer letter."""
        async with aclosing(store.find(selection, newest_first=True)) as found:
            async for one in found:
                if isinstance(one, Unreadable):
                    self.unreadable.append(one)
                    continue
                if self._full_before(one.stored_at):
                    self.more = True
                    return
                self.entries.append(one)
                self._trim()

    def _full_before(self, stored_at: float | None) -> bool:
        if len(self.entries) < self._limit:
            return False
        return stored_at is None or stored_at + CLOCK_SKEW < self.entries[-1].letter.time

    def _trim(self) -> None:
        # letters of an object come in their order, which is nearly sorted already: cheap for what it is
        self.entries.sort(key=lambda entry: entry.letter.letter, reverse=True)
        self.more |= len(self.entries) > self._limit
        del self.entries[self._limit :]
