"""The formats of an object: how a batch's events become one payload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from forkstream.envelope import Envelope, json_line
from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Event
from forkstream.ports import Payload
from forkstream.settings import Settings

FormatName: TypeAlias = Literal["ndjson", "json"]


class FormatSettings(Settings):
    """What every format can be told."""

    envelope: Annotated[
        bool,
        Meta(
            description="store each event with its origin id, time and attributes, so that it can be replayed whole; "
            "without it an object holds the bodies alone, and only JSON bodies can be stored"
        ),
    ] = False


class Format:
    """Renders a batch: ``ndjson`` is one JSON value a line, each line ended; ``json`` is one array of them.

    ``suffix`` starts an object's list of suffixes and tells a reader all it has to know: ``.ndjson``, ``.json``, and
    ``.envelope.ndjson``, ``.envelope.json`` for enveloped events, so that a body which merely looks like an envelope
    is never taken for one. Without the envelope a body's bytes stand as they came; only line breaks and the white
    space around it are taken out, where there are any.
    """

    _content_types: ClassVar[dict[FormatName, str]] = {"ndjson": "application/x-ndjson", "json": "application/json"}

    def __init__(self, name: FormatName = "ndjson", settings: FormatSettings | None = None) -> None:
        self.name = name
        self.settings = settings or FormatSettings()
        self.suffix = f".envelope.{name}" if self.settings.envelope else f".{name}"
        self.content_type = self._content_types[name]
        self._line = _enveloped if self.settings.envelope else _bare

    def render(self, events: Sequence[Event]) -> Payload:
        """Render one event or more. Pure CPU, for a worker thread.

        Raises :class:`~forkstream.errors.PermanentError` whose detail names the first event that cannot be rendered,
        with code ``not_json`` or ``nested_too_deep``; never with the envelope, which takes any body.
        """
        lines = [self._line(event) for event in events]
        if self.name == "json":
            return Payload(data=b"[" + b",\n".join(lines) + b"]\n", content_type=self.content_type)
        lines.append(b"")
        return Payload(data=b"\n".join(lines), content_type=self.content_type)


def _enveloped(event: Event) -> bytes:
    return msgspec.json.encode(Envelope.of(event))


def _bare(event: Event) -> bytes:
    try:
        return json_line(event.body)
    except UndecodableError as error:
        # a reader of the object must be able to trust every line, so text is refused, not quoted into a JSON string
        raise PermanentError(error.code, f"event {event.id}: {error.detail}") from None
