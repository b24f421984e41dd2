"""Dead letters: what is kept of an event that will never go through, so that it can be mended and sent again."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping

import msgspec

from forkstream.event import Attribute, Event, Target
from forkstream.ulid import ulid


class LetterAttribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attribute as JSON: ``value`` for text, ``base64`` for bytes."""

    type: str
    value: str | None = None
    base64: str | None = None


class Letter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename={"letter": "id", "id": "origin_id"}):
    """One dead letter; its JSON is one line of a dead-letter object, or the body of one message.

    ``step`` is where the event failed, and where a redrive resumes: a stage's place such as ``stages[1].index``, or
    ``sink``. The body is the input of that step: text in ``body``, anything that is not UTF-8 in ``body_base64``.
    ``id``, ``sent_at`` and the attributes are the event's own; ``letter`` names this letter alone (in the JSON they are
    ``origin_id`` and ``id``), and ``time`` is when it was written (both times in seconds since the epoch). ``detail``
    may quote values of the event.
    """

    letter: str
    id: str
    fork: str
    step: str
    code: str
    time: float
    sent_at: float
    receive_count: int
    detail: str = ""
    group: str | None = None
    attributes: dict[str, LetterAttribute] = {}
    body: str | None = None
    body_base64: str | None = None
    target: Target | None = None

    def to_event(self) -> Event:
        """Restore the event as the failed step received it."""
        body = base64.b64decode(self.body_base64) if self.body_base64 is not None else (self.body or "").encode()
        return Event(
            body,
            id=self.id,
            sent_at=self.sent_at,
            receive_count=self.receive_count,
            group=self.group,
            target=self.target,
            attributes={
                name: Attribute(one.type, base64.b64decode(one.base64) if one.base64 is not None else one.value or "")
                for name, one in self.attributes.items()
            },
        )

    def encode(self) -> bytes:
        """The letter as one line of JSON."""
        return _encode(self)

    @staticmethod
    def decode(line: bytes) -> Letter:
        """Read one letter; raises msgspec.DecodeError or msgspec.ValidationError for anything else."""
        return _decode(line)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Letter).decode


def letter_of(event: Event, *, fork: str, step: str, code: str, detail: str) -> Letter:
    """Write the dead letter of an event that failed at ``step``."""
    try:
        text, encoded = event.body.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(event.body).decode()
    return Letter(
        letter=ulid(),
        id=event.id,
        fork=fork,
        step=step,
        code=code,
        detail=detail,
        time=time.time(),
        sent_at=event.sent_at,
        receive_count=event.receive_count,
        group=event.group,
        attributes=_attributes(event.attributes),
        body=text,
        body_base64=encoded,
        target=event.target,
    )


def _attributes(attributes: Mapping[str, Attribute]) -> dict[str, LetterAttribute]:
    return {
        name: LetterAttribute(one.type, base64=base64.b64encode(one.value).decode())
        if isinstance(one.value, bytes)
        else LetterAttribute(one.type, value=one.value)
        for name, one in attributes.items()
    }
