"""The mark that carries an event's first id and time through every further queue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import msgspec

from forkstream.event import Attribute, Event

ORIGIN_ATTRIBUTE = "forkstream.origin"
"""The message attribute that holds it. It counts as one of the ten that SQS takes."""


_encode = msgspec.json.Encoder().encode
"""Writes a float with the digits of its ``repr``, in a sixth of the time."""


class Origin(msgspec.Struct, frozen=True):
    """The id and the time (seconds since the epoch) of an event's first sending, whichever queues it has come through since."""

    id: str
    sent_at: float

    @classmethod
    def of(cls, event: Event) -> Self:
        """Read it off an event, whose ``id`` and ``sent_at`` the source has restored."""
        return cls(event.id, event.sent_at)

    @classmethod
    def parse(cls, attribute: Attribute | None) -> Self | None:
        """Read the attribute; None if it is missing or not of our making."""
        if attribute is None or not isinstance(attribute.value, str):
            return None
        identity, _, moment = attribute.value.rpartition(" ")
        try:
            sent_at = float(moment)
        except ValueError:
            return None
        return cls(identity, sent_at) if identity and math.isfinite(sent_at) else None

    def mark(self, attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """Copy the attributes with the mark among them."""
        mark = Attribute("String", f"{self.id} {_encode(self.sent_at).decode()}")
        return {**attributes, ORIGIN_ATTRIBUTE: mark} if attributes else {ORIGIN_ATTRIBUTE: mark}
