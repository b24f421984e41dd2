"""The ``index`` stage: what makes a search document of an event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Event, Json, Target
from forkstream.fields.moment import epoch_milliseconds, read_moment
from forkstream.fields.required_field import RequiredField
from forkstream.fields.shallow import Shallow
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
_OPEN, _CLOSE = b"{}"
_BEFORE_STAMP = f',"{TIMESTAMP}":'.encode()
_Values: TypeAlias = "Sequence[Json | bytes]"
_encode = msgspec.json.Encoder().encode


class _Read(msgspec.Struct, frozen=True):
    """What a setting reads: the place of its value among those that are read of each event, and its path."""

    place: int
    path: str


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
        ids = (config.id,) if isinstance(config.id, str) else config.id or ()
        if config.id is not None and not ids:
            raise ValueError("id names no path; leave it out to use the id of the first sending")
        self._select = Selection(config.fields.include, config.fields.exclude)
        wanted = [path for path in (config.time, config.version, config.routing, *ids) if path is not None]
        self._paths = {path: RequiredField(path) for path in wanted}
        reads = {path: _Read(place, path) for place, path in enumerate(self._paths)}
        self._time, self._version, self._routing = (
            None if path is None else reads[path] for path in (config.time, config.version, config.routing)
        )
        self._ids = [reads[path] for path in ids]
        self._shallow = None if config.fields != FieldSettings() else _shallow(list(self._paths.values()))

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
        body = event.body
        found = None if self._shallow is None else self._shallow.read(body)
        if found is not None and None not in found and _can_be_added_to(body):
            moment, target = self._target(event, found)
            # all else stays as it is: a key that a body has twice stays twice, and OpenSearch refuses such a document
            return event.with_(body=b"".join((body[:-1], _BEFORE_STAMP, _stamp(moment), b"}")), target=target)
        data = event.data
        if not isinstance(data, dict):
            raise UndecodableError("not_an_object", f"the body is a {type(data).__name__}, a document is an object")
        moment, target = self._target(event, [path(event) for path in self._paths.values()])
        return event.with_(data={**self._select(data), TIMESTAMP: _stamp(moment)[1:-1].decode()}, target=target)

    def _target(self, event: Event, values: _Values) -> tuple[datetime, Target]:
        time, version, routing = self._time, self._version, self._routing
        moment = datetime.fromtimestamp(event.sent_at, UTC) if time is None else _time(time, values, "bad_time")
        return moment, Target(
            self._name.fixed or self._name(event, moment),
            self._id(event, values),
            None if version is None else _version(version, values, moment if version is time else None),
            None if routing is None else _plain(routing, values, "bad_routing"),
        )

    def _id(self, event: Event, values: _Values) -> str:
        ids = self._ids
        if not ids:
            return event.id
        if len(ids) == 1:
            whole = _plain(ids[0], values, "bad_id")
        else:
            # parts of several are escaped, so that ("a:b", "c") and ("a", "b:c") stay two documents
            parts = [_plain(read, values, "bad_id") for read in ids]
            whole = ":".join([part.replace("%", "%25").replace(":", "%3A") for part in parts])
        if len(whole) > MAX_ID_BYTES // 4 and len(whole.encode()) > MAX_ID_BYTES:
            raise PermanentError("id_too_long", f"{len(whole.encode())} bytes, OpenSearch takes {MAX_ID_BYTES}")
        return whole


def _shallow(fields: Sequence[RequiredField]) -> Shallow | None:
    """Build what reads the fields without decoding a whole body; None where they do not all stand in its objects."""
    known = [field.keys for field in fields if field.keys is not None]
    if not known or len(known) != len(fields):
        return None
    try:
        return Shallow(known, absent=TIMESTAMP)
    except ValueError:  # one field is a part of another's value
        return None


def _can_be_added_to(body: bytes) -> bool:
    """Tell whether the JSON of an object ends with it, without white space, and is UTF-8 also where it was passed over unread."""
    if body[0] != _OPEN or body[-1] != _CLOSE:
        return False
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _stamp(moment: datetime) -> bytes:
    """Write a moment in UTC as JSON, to the millisecond."""
    # measured, µs: 0.2 cut out of msgspec's own form, which has microseconds or none, and 1.5 by `isoformat`
    text = _encode(moment)
    return text[:24] + b'Z"' if moment.microsecond else text[:20] + b'.000Z"'


def _time(read: _Read, values: _Values, code: str) -> datetime:
    try:
        return read_moment(values[read.place])
    except ValueError as error:
        raise PermanentError(code, f"{read.path}: {error}") from None


def _version(read: _Read, values: _Values, moment: datetime | None) -> int:
    """Read a whole number as it is, and a time as its milliseconds since the epoch; ``moment`` if it is read already."""
    value = values[read.place]
    if type(value) is str:
        value = epoch_milliseconds(moment or _time(read, values, "bad_version"))
    if type(value) is not int or not 0 <= value < _END_VERSION:  # a bool is no whole number here
        raise PermanentError("bad_version", f"{read.path}: neither a whole number from 0 to 2^63 nor a time since 1970")
    return value


def _plain(read: _Read, values: _Values, code: str) -> str:
    """Read a non-empty string or a whole number: what has one spelling only (1.0 and 1.00 would be two documents)."""
    value = values[read.place]
    if type(value) is int:  # a bool is no whole number here
        return str(value)
    if type(value) is not str or not value:
        raise PermanentError(code, f"{read.path}: neither a non-empty string nor a whole number")
    return value
