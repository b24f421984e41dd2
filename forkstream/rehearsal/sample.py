"""Sample events from a file, as forkstream itself writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio.to_thread

from forkstream.errors import CommandError, DeliveryError
from forkstream.event import Event
from forkstream.reading import read_object

FORMS = (
    "Its name says what it holds: .ndjson one body a line, .json an array of bodies, .envelope.ndjson or .envelope.json "
    "whole events ({id, sent_at, attributes, body}); each also compressed (.gz, .zst, …). - is NDJSON from standard input."
)


async def read_sample(location: str) -> list[Event]:
    """Read the events of a file, or NDJSON from standard input (``-``); events without an id get their numbers.

    Raises :class:`~forkstream.errors.CommandError` that says what was expected.
    """
    try:
        data = await anyio.to_thread.run_sync(_read, location)
    except OSError as error:
        raise CommandError(f"{location}: {error.strerror}") from None
    name = "-.ndjson" if location == "-" else Path(location).name
    try:
        events = await read_object(name, data)
    except DeliveryError as error:
        raise CommandError(f"{location}: {error.detail or error.code}\n{FORMS}") from None
    numbered = f"{name}#"
    return [_named(event, event.id.removeprefix(numbered)) for event in events]


def _read(location: str) -> bytes:
    return sys.stdin.buffer.read() if location == "-" else Path(location).read_bytes()


def _named(event: Event, name: str) -> Event:
    return Event(
        event.body,
        id=name,
        sent_at=event.sent_at,
        attributes=event.attributes,
        group=event.group,
        target=event.target,
    )
