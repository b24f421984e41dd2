"""What the stub has seen, counted as it happens."""

from __future__ import annotations

import msgspec


class Tally(msgspec.Struct):
    """Counts since the start. ``latencies`` counts settled messages by milliseconds from sent to deleted, since the last look."""

    requests: int = 0
    bytes_in: int = 0
    receives: int = 0
    """Receives that brought something."""
    empty_receives: int = 0
    received: int = 0
    """Messages handed out, repeats included."""
    repeated: int = 0
    """Messages handed out again, since they were not deleted in time or were shown again."""
    wanted: int = 0
    """How many messages those receives asked for."""
    deletes: int = 0
    """Requests that delete."""
    deleted: int = 0
    visibility_changes: int = 0
    puts: int = 0
    put_bytes: int = 0
    bulks: int = 0
    documents: int = 0
    writes: int = 0
    """BatchWriteItem and PutItem."""
    items: int = 0
    sends: int = 0
    sent: int = 0
    faults: int = 0
    refused: int = 0
    """Requests that the stub does not know: what sends them is not measured rightly."""
    latencies: dict[int, int] = {}


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The stub as it stands: ``at`` in seconds of its monotonic clock, ``cpu`` in seconds of its process."""

    at: float
    cpu: float
    tally: Tally
    held: int
    """Messages in consumers' hands, hidden."""
    waiting: int
    """Messages that were sent and nobody has received yet; 0 where the queues never run out."""
    unknown: str = ""
    """The last request that the stub does not know."""
