"""Which dead letters are meant."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from forkstream.dlq.letter_id import written_at
from forkstream.dlq.report import Result
from forkstream.letters import Letter

CLOCK_SKEW = 300.0
"""Seconds by which the clocks of whoever wrote a letter and of the store that dated its object may differ."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Letters of one fork, narrowed by what is given: ids, the code, the time since they were written.

    ``letters`` are ids of letters, ``origins`` are those of events, of which several letters may have been written.
    """

    fork: str
    letters: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    code: str | None = None
    since: float | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether this letter is meant."""
        return (
            letter.fork == self.fork
            and (self.any_id or letter.letter in self.letters or letter.id in self.origins)
            and self.code in (None, letter.code)
            and (self.since is None or letter.time >= self.since)
        )

    @property
    def any_id(self) -> bool:
        """Whether letters are meant whatever their ids are."""
        return not (self.letters or self.origins)

    @property
    def stored_since(self) -> float:
        """The earliest time at which an object with such a letter can have been written."""
        # an event's id tells nothing of when it failed
        named = 0.0 if self.origins else min((written_at(letter) for letter in self.letters), default=0.0)
        return max(named, self.since or 0.0) - CLOCK_SKEW

    def complete(self, found: set[str]) -> bool:
        """Tell whether nothing more needs to be looked for, once these letters are found."""
        return bool(self.letters) and not self.origins and self.letters <= found

    def missing(self, results: Iterable[Result]) -> frozenset[str]:
        """Tell which of the ids that are meant none of these results is about."""
        ids = {name for result in results for name in (result.letter, result.id)}
        return (self.letters | self.origins) - ids
