"""What became of the events of a rehearsal, by their numbers, which count from 1."""

from __future__ import annotations

import msgspec

from forkstream.event import Event
from forkstream.ports import Payload


class Written(msgspec.Struct, frozen=True):
    """One event as an event sink took it."""

    number: int
    partition: str
    event: Event


class Stored(msgspec.Struct, frozen=True):
    """One object as an object sink took it."""

    key: str
    payload: Payload


class Dropped(msgspec.Struct, frozen=True):
    """An event that a stage dropped."""

    number: int
    reason: str


class Failed(msgspec.Struct, frozen=True):
    """An event that did not go through: dead, or kept by its source to come again. ``detail`` may quote values."""

    number: int
    step: str
    code: str
    detail: str


class Report(msgspec.Struct):
    """Where every event has ended: each number stands in exactly one of done, dropped, dead and kept.

    ``written`` and ``objects`` are what the sink took, ``letters`` and ``letter_objects`` what that of the dead letters
    did. ``dead`` are events that fail for good, whether or not the fork has a place for dead letters; those whose letter
    may not be written, or could not be, are ``kept``.
    """

    done: list[int] = []
    written: list[Written] = []
    objects: list[Stored] = []
    dropped: list[Dropped] = []
    dead: list[Failed] = []
    kept: list[Failed] = []
    letters: list[Written] = []
    letter_objects: list[Stored] = []
