"""The envelope: one event as one line of JSON, whole enough to be sent again."""

from __future__ import annotations

import base64
import binascii
from typing import Self

import msgspec

from forkstream.errors import UndecodableError
from forkstream.event import Attribute, Event, Target

_BRACKETS = 200
"""A body is embedded only if this many more levels of nesting around it would still decode.

Decoders recurse, and a reader's stack may be deeper than the writer's was."""

_LINE_FEED, _RETURN = b"\n\r"
"""Numbers: to look for one in an order takes 0.04 µs, and 0.24 as bytes, for which Python raises and drops an error first."""

_skim = msgspec.json.Decoder(msgspec.Raw).decode


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event with its origin, as it lies in an object: ``{"id", "sent_at", "attributes", "body"}``.

    ``sent_at`` is seconds since the epoch, UTC. ``attributes`` are ``{name: {"type", "value"}}``, the value of the
    Binary types in base64. ``body`` is the event's JSON, its digits, order and spacing untouched but without line
    breaks around it or between its tokens, so that it can be queried in place. ``body_base64`` holds the exact bytes
    wherever ``body`` alone would not give them back: the body is no JSON, or has white space around it or line breaks
    within. ``group`` and ``target`` are there only for events that have them. A receive count belongs to one queue
    and is not kept.
    """

    id: str
    sent_at: float
    attributes: dict[str, _Attribute] = {}
    group: str | None = None
    target: Target | None = None
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    body_base64: bytes | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, event: Event) -> Self:
        """Wrap an event; any body fits."""
        try:
            line = json_line(event.body)
        except UndecodableError:
            line = None
        return cls(
            id=event.id,
            sent_at=event.sent_at,
            attributes={name: _Attribute.of(attribute) for name, attribute in event.attributes.items()},
            group=event.group,
            target=event.target,
            body=msgspec.UNSET if line is None else msgspec.Raw(line),
            body_base64=msgspec.UNSET if line == event.body else event.body,
        )

    def event(self) -> Event:
        """Unwrap the event, byte for byte; raises :class:`UndecodableError` where there is no body."""
        body = self.body if isinstance(self.body_base64, msgspec.UnsetType) else self.body_base64
        if isinstance(body, msgspec.UnsetType):
            raise UndecodableError("no_body", f"event {self.id} has neither body nor body_base64")
        return Event(
            bytes(body),
            id=self.id,
            sent_at=self.sent_at,
            attributes={name: attribute.attribute() for name, attribute in self.attributes.items()},
            group=self.group,
            target=self.target,
        )


class _Attribute(msgspec.Struct, frozen=True):
    type: str
    value: str

    @classmethod
    def of(cls, attribute: Attribute) -> Self:
        value = attribute.value
        return cls(attribute.type, value if isinstance(value, str) else base64.b64encode(value).decode())

    def attribute(self) -> Attribute:
        if not self.type.startswith("Binary"):
            return Attribute(self.type, self.value)
        try:
            return Attribute(self.type, base64.b64decode(self.value, validate=True))
        except binascii.Error as error:
            raise UndecodableError("not_base64", str(error)) from None


def json_line(body: bytes) -> bytes:
    """Give the body's JSON as one line; raises :class:`UndecodableError` for what is no JSON or nests too deep.

    Bytes are kept but for white space around the value and line breaks within: JSON has none inside its strings, so
    only the space between tokens goes, and every number keeps its digits.
    """
    line = body.strip(b" \t\r\n")
    try:
        # skims without building anything, several times as fast as a decode; it leaves UTF-8 unchecked
        _skim(line)
        if not line.isascii():
            line.decode()
        if line.count(b"[") + line.count(b"{") > _BRACKETS:  # cheap, and nearly never so many
            _skim(b"[" * _BRACKETS + line + b"]" * _BRACKETS)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError("not_json", str(error)) from None
    except RecursionError:
        raise UndecodableError("nested_too_deep", f"{len(body)} bytes") from None
    return line.translate(None, b"\r\n") if _LINE_FEED in line or _RETURN in line else line
