"""What a redrive has come to."""

from __future__ import annotations

import enum
from collections import Counter

import msgspec

from forkstream.dlq.entry import Entry, Unreadable


class Outcome(enum.Enum):
    """What became of one letter."""

    SENT = "sent"
    DROPPED = "dropped"  # by a stage's decision, as it would have been the first time
    FAILED = "failed again"  # it stays a letter
    UNTRIED = "not tried"  # it stays a letter
    UNNOTED = "sent, not noted"  # it went through, but that could not be written down: it shows as interrupted
    ALREADY = "already redriven"
    INTERRUPTED = "interrupted"  # an earlier redrive of it is under way or was cut off; left alone
    TAKEN = "taken"  # somebody else claimed it first
    WOULD_SEND = "would be sent"

    @property
    def good(self) -> bool:
        """Whether nobody needs to look at the letter again."""
        return self in (Outcome.SENT, Outcome.DROPPED, Outcome.ALREADY, Outcome.WOULD_SEND)


class Result(msgspec.Struct, frozen=True, rename={"letter": "id", "id": "origin_id"}):
    """One letter's outcome, ``id`` being its event's. ``code`` is safe to show anywhere, ``detail`` may quote the event."""

    letter: str
    id: str
    step: str
    outcome: Outcome
    code: str = ""
    detail: str = ""

    @classmethod
    def of(cls, entry: Entry, outcome: Outcome, code: str = "", detail: str = "") -> Result:
        """Say what became of this letter."""
        return cls(entry.letter.letter, entry.letter.id, entry.letter.step, outcome, code, detail)


class Report:
    """Gathers results. ``trouble`` says what ended the redrive before its time, if anything did.

    ``last_failure`` is the code of the attempt that failed last, for whoever watches.
    """

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.unreadable: list[Unreadable] = []
        self.trouble = ""
        self.last_failure = ""

    @property
    def counts(self) -> Counter[Outcome]:
        """How many letters had each outcome."""
        return Counter(result.outcome for result in self.results)

    @property
    def good(self) -> bool:
        """Whether every letter that was meant is where it should be."""
        return not self.unreadable and not self.trouble and all(outcome.good for outcome in self.counts)
