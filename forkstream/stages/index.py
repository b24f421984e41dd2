"""The ``index`` stage: what makes a search document of an event."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Event, Target
from forkstream.fields.moment import epoch_milliseconds, read_moment
from forkstream.fields.required_field import RequiredField
from forkstream.ports import Advice, AsyncStage, Context, EventStage, Surroundings
from forkstream.settings import Settings
from forkstream.stages.index_name import IndexName, Rotation
from forkstream.stages.selection import Selection

TIMESTAMP = "@timestamp"
"""The field that dashboards and data streams of OpenSearch take for a document's time."""
MAX_ID_BYTES = 512
"""See "Index document" in OpenSearch's API reference."""
_END_VERSION = 2**63
"""Versions are Java longs from 0, see "External versioning" in the same place."""


class FieldSettings(Settings):
    """Which fields of the body the document has. Both may be given: then ``exclude`` cuts from what ``include`` kept."""

    include: Annotated[tuple[str, ...], Meta(description="paths to keep, such as items[*].price; none keeps all")] = ()
    exclude: Annotated[tuple[str, ...], Meta(description="paths to leave out")] = ()


class IndexConfig(Settings):
    """Where a document goes, and which fields make its identity."""

    name: Annotated[
        str, Meta(description="the index; {path} stands for the event's own value there: orders-{type}", min_length=1)
    ]
    rotation: Annotated[Rotation, Meta(description="how often a new index starts, in UTC, by the event's time")] = (
        "none"
    )
    time: Annotated[
        str | None,
        Meta(
            description="path of the event's own time: ISO 8601 with its offset, or seconds or milliseconds since 1970."
            " Without it, the time of the first sending"
        ),
    ] = None
    id: Annotated[
        str | tuple[str, ...] | None,
        Meta(
            description="path, or paths to be joined, of what identifies the document: [customer.id, id]."
            " Without it, the id of the first sending, so that each sending is a document of its own"
        ),
    ] = None
    version: Annotated[
        str | None,
        Meta(description="path of a whole number, or of a time, that grows with each change: equal or newer wins"),
    ] = None
    routing: Annotated[str | None, Meta(description="path of the value that chooses the shard, instead of the id")] = (
        None
    )
    fields: FieldSettings = FieldSettings()


class Index(EventStage[IndexConfig]):
    """Turns an event into a search document: target index by name and time, id, version, ``@timestamp`` and fields.

    Id and version come from the event's data, so a redelivery and a replay write the very same document again. A
    config without ``id`` falls back to ``event.id``: not the queue's message id, which each queue and replay makes
    anew, but the origin's, which every re-send carries along; so what is sent again is still the same document.
    Its ``@timestamp`` is in UTC with milliseconds and replaces one that the body has.
    """

    def __init__(self, config: IndexConfig, context: Context) -> None:
        super().__init__(config, context)
        self._name = IndexName(config.name, config.rotation)
        self._time = _optional(config.time)
        self._version = _optional(config.version)
        self._routing = _optional(config.routing)
        self._ids = [RequiredField(path) for path in ((config.id,) if isinstance(config.id, str) else config.id or ())]
        if config.id is not None and not self._ids:
            raise ValueError("id names no path; leave it out to use the id of the first sending")
        self._select = Selection(config.fields.include, config.fields.exclude)

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        later = [stage for stage in fork.after if isinstance(stage, EventStage | AsyncStage) and stage.sanitizes]
        if not later:
            return ()
        return [
            Advice(
                code="index_before_sanitize",
                found=f"a stage that sanitizes ({type(later[0]).__name__}) comes after this one",
                why="index, id, routing and fields are then made of what was to be taken out, and are stored with the document",
                do="put it before this stage",
            )
        ]

    def __call__(self, event: Event) -> Event:
        data = event.data
        if not isinstance(data, dict):
            raise UndecodableError("not_an_object", f"the body is a {type(data).__name__}, a document is an object")
        moment = self._moment(event)
        target = Target(
            index=self._name(event, moment),
            id=self._id(event),
            version=None if self._version is None else _version(self._version, event),
            routing=None if self._routing is None else _plain(self._routing, event, "bad_routing"),
        )
        stamp = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        return event.with_(data={**self._select(data), TIMESTAMP: stamp}, target=target)

    def _moment(self, event: Event) -> datetime:
        if self._time is None:
            return datetime.fromtimestamp(event.sent_at, UTC)
        return _time(self._time, event, "bad_time")

    def _id(self, event: Event) -> str:
        if not self._ids:
            return event.id
        parts = [_plain(path, event, "bad_id") for path in self._ids]
        # parts of several are escaped, so that ("a:b", "c") and ("a", "b:c") stay two documents
        whole = parts[0] if len(parts) == 1 else ":".join(p.replace("%", "%25").replace(":", "%3A") for p in parts)
        if len(whole.encode()) > MAX_ID_BYTES:
            raise PermanentError("id_too_long", f"{len(whole.encode())} bytes, OpenSearch takes {MAX_ID_BYTES}")
        return whole


def _optional(path: str | None) -> RequiredField | None:
    return None if path is None else RequiredField(path)


def _time(path: RequiredField, event: Event, code: str) -> datetime:
    value = path(event)
    try:
        return read_moment("" if isinstance(value, bytes) else value)
    except ValueError as error:
        raise PermanentError(code, f"{path}: {error}") from None


def _version(path: RequiredField, event: Event) -> int:
    """Read a whole number as it is, and a time as its milliseconds since the epoch."""
    value = path(event)
    if isinstance(value, str):
        value = epoch_milliseconds(_time(path, event, "bad_version"))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _END_VERSION:
        raise PermanentError("bad_version", f"{path}: neither a whole number from 0 to 2^63 nor a time since 1970")
    return value


def _plain(path: RequiredField, event: Event, code: str) -> str:
    """Read a non-empty string or a whole number: what has one spelling only (1.0 and 1.00 would be two documents)."""
    value = path(event)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise PermanentError(code, f"{path}: neither a non-empty string nor a whole number")
    return str(value)
