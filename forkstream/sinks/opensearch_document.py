"""An event as two lines of a bulk request."""

from __future__ import annotations

import msgspec

from forkstream.errors import PermanentError
from forkstream.event import Event, Target

MAX_ID_BYTES = 512
"""See "Index document" in OpenSearch's API reference; one longer id would have OpenSearch refuse the whole request."""
_VERSIONS = range(2**63)
"""A version outside a Java long's positive half has the whole request refused too."""


class _Action(msgspec.Struct, frozen=True, omit_defaults=True):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    version: int | None = None
    version_type: str | None = None
    routing: str | None = None


class _Line(msgspec.Struct, frozen=True):
    index: _Action


_encode = msgspec.json.Encoder().encode


class Document(msgspec.Struct, frozen=True, gc=False):
    """An event, and the lines that index it: the action with the document's place, and the event's body as it is."""

    event: Event
    target: Target
    lines: bytes

    @classmethod
    def of(cls, event: Event, default_index: str | None) -> Document:
        """Render an event; raises PermanentError for what would have OpenSearch refuse a whole request because of it."""
        target = event.target
        if target is None:
            if default_index is None:
                raise PermanentError("no_target", "no `index` stage gave the event a target, and the sink has no index")
            target = Target(default_index, event.id)
        if len(target.id.encode()) > MAX_ID_BYTES:
            raise PermanentError("id_too_long", f"{len(target.id.encode())} bytes, OpenSearch takes {MAX_ID_BYTES}")
        action = _Action(target.index, target.id, routing=target.routing)
        if target.version is not None:
            if target.version not in _VERSIONS:
                raise PermanentError("bad_version", "the version is not from 0 to 2^63")
            # at least as new: the same document again is no conflict
            action = _Action(target.index, target.id, target.version, "external_gte", target.routing)
        # a newline ends a line of the request; in a valid body it can only be white space between tokens
        body = event.body.replace(b"\n", b" ")
        return cls(event, target, b"%b\n%b\n" % (_encode(_Line(action)), body))
