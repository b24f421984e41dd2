"""What is found where dead letters lie."""

from __future__ import annotations

import msgspec

from forkstream.dlq.standing import Standing
from forkstream.letters import Letter


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One dead letter. ``place`` is its object's key or its queue's name; ``stored_at``, when that object was written.

    ``stored_at`` is None in a queue, which hands letters out in any order.
    """

    letter: Letter
    place: str
    stored_at: float | None
    standing: Standing


class Unreadable(msgspec.Struct, frozen=True):
    """Something that no letter could be read from. ``detail`` names keys and places, never an event's values."""

    place: str
    code: str
    detail: str = ""
