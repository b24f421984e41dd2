"""Which dead letters are meant."""

from __future__ import annotations

import msgspec

from forkstream.dlq.letter_id import written_at
from forkstream.letters import Letter

CLOCK_SKEW = 300.0
"""Seconds by which the clocks of whoever wrote a letter and of the store that dated its object may differ."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Letters of one fork, narrowed by what is given: their ids, their code, the time since they were written."""

    fork: str
    letters: frozenset[str] = frozenset()
    code: str | None = None
    since: float | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether this letter is meant."""
        return (
            letter.fork == self.fork
            and (not self.letters or letter.letter in self.letters)
            and self.code in (None, letter.code)
            and (self.since is None or letter.time >= self.since)
        )

    @property
    def stored_since(self) -> float:
        """The earliest time at which an object with such a letter can have been written."""
        named = min((written_at(letter) for letter in self.letters), default=0.0)
        return max(named, self.since or 0.0) - CLOCK_SKEW

    def complete(self, found: set[str]) -> bool:
        """Tell whether nothing more needs to be looked for, once these letters are found."""
        return bool(self.letters) and self.letters <= found
