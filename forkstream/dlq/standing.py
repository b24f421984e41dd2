"""How a letter stands: what its redrives, if there were any, have come to."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Self

import msgspec

from forkstream.dlq.letter_id import is_letter_id

_NAME = re.compile(
    r"(?P<letter>\w{26})\.(?P<attempt>[1-9]\d{0,5})\.(?P<mark>claimed|sent|dropped|failed)(\.(?P<code>[\w-]{1,64}))?",
    re.ASCII,
)


class Mark(enum.Enum):
    """What a marker says of one attempt to redrive one letter."""

    CLAIMED = "claimed"  # made before anything is sent
    SENT = "sent"
    DROPPED = "dropped"  # a stage decided so: it will not be sent, and that is right
    FAILED = "failed"  # it did not go through, so another attempt may be made


class Marker(msgspec.Struct, frozen=True):
    """One step of one attempt. All that matters is in its name, so that a listing alone tells how every letter stands."""

    letter: str
    attempt: int
    mark: Mark
    code: str = ""

    @property
    def name(self) -> str:
        """``01J….1.failed.mapper_parsing``; never longer than a file's name can be."""
        code = re.sub(r"[^A-Za-z0-9_-]", "_", self.code)[:64]
        return f"{self.letter}.{self.attempt}.{self.mark.value}" + (f".{code}" if code else "")

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Read a name; None if it is no marker's."""
        found = _NAME.fullmatch(name)
        if found is None or not is_letter_id(found["letter"]):
            return None
        return cls(found["letter"], int(found["attempt"]), Mark(found["mark"]), found["code"] or "")


class State(enum.Enum):
    """What may be done with a letter."""

    WAITING = "waiting"  # never redriven
    FAILED = "failed again"  # redriven in vain; it may be tried again
    INTERRUPTED = "interrupted"  # a redrive of it is under way, or ended without saying how: sent or not, nobody knows
    REDRIVEN = "redriven"
    DROPPED = "dropped"


class Standing(msgspec.Struct, frozen=True):
    """A letter's state, how many redrives it has had, and what the last one failed with."""

    state: State = State.WAITING
    attempts: int = 0
    code: str = ""

    @classmethod
    def of(cls, markers: Iterable[Marker]) -> Self:
        """Sum up a letter's markers: one that went through outweighs all others, else the last attempt counts."""
        marks: dict[int, dict[Mark, Marker]] = {}
        for marker in markers:
            marks.setdefault(marker.attempt, {})[marker.mark] = marker
        last = max(marks, default=0)
        for mark, state in ((Mark.SENT, State.REDRIVEN), (Mark.DROPPED, State.DROPPED)):
            for attempt in marks.values():
                if mark in attempt:
                    return cls(state, last, attempt[mark].code)
        if not last:
            return cls()
        failed = marks[last].get(Mark.FAILED)
        return cls(State.FAILED, last, failed.code) if failed else cls(State.INTERRUPTED, last)

    @property
    def over(self) -> bool:
        """Whether the letter must never be sent any more."""
        return self.state in (State.REDRIVEN, State.DROPPED)
