"""An event as two lines of a bulk request."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from forkstream.errors import PermanentError
from forkstream.event import Event, Target

MAX_ID_BYTES = 512
"""See "Index document" in OpenSearch's API reference; one longer id would have OpenSearch refuse the whole request."""
_END_VERSION = 2**63
"""A version outside a Java long's positive half has the whole request refused too."""


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
        name, version, routing = target.id, target.version, target.routing
        if len(name) > MAX_ID_BYTES // 4 and len(name.encode()) > MAX_ID_BYTES:
            raise PermanentError("id_too_long", f"{len(name.encode())} bytes, OpenSearch takes {MAX_ID_BYTES}")
        if version is None:
            versioned = b""
        elif type(version) is int and 0 <= version < _END_VERSION:
            # at least as new: the same document again is no conflict
            versioned = b',"version":%d,"version_type":"external_gte"' % version
        else:
            raise PermanentError("bad_version", "the version is not from 0 to 2^63")
        routed = b"" if routing is None else b',"routing":%b' % _encode(routing)
        # a newline ends a line of the request; in a valid body it can only be white space between tokens
        body = event.body.replace(b"\n", b" ")
        # measured, µs an order written: 1.1 put together of its parts, 1.5 with the action encoded as a whole
        lines = b"".join((_start(target.index), _encode(name), versioned, routed, b"}}\n", body, b"\n"))
        return cls(event, target, lines)


@lru_cache(maxsize=256)  # the documents of a batch share a few
def _start(index: str) -> bytes:
    return b'{"index":{"_index":%b,"_id":' % _encode(index)
