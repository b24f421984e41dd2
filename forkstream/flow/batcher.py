"""Batches: events of one partition, gathered until a limit closes them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import msgspec

from forkstream.flow.custody import Held


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What closes a batch: a count of events, bytes of bodies after the event stages, seconds since it was opened.

    ``max_open`` bounds how many partitions are gathered at once: one more closes the fullest.
    """

    max_events: int
    max_bytes: int
    max_age: float
    max_open: int = 100


class CloseReason(enum.Enum):
    """Why a batch was closed; the label of ``forkstream_batch_closed_total``."""

    BYTES = "bytes"
    COUNT = "count"
    AGE = "age"
    PRESSURE = "pressure"  # the budget refuses receives, or too many partitions are open
    QUOTA = "quota"  # the queue hands out no more, since too much of it is in flight
    ORDER = "order"  # a group's next events come only after this batch
    PROBE = "probe"  # the fork is in trouble: what it holds is what tells whether it still is
    DRAIN = "drain"


class Batch:
    """Events for one partition. ``bytes`` counts bodies as they are after the event stages."""

    __slots__ = ("bytes", "held", "opened_at", "partition", "reason")

    def __init__(self, partition: str, opened_at: float) -> None:
        self.partition = partition
        self.opened_at = opened_at
        self.held: list[Held] = []
        self.bytes = 0
        self.reason: CloseReason | None = None

    def closed(self, reason: CloseReason) -> Batch:
        """This batch, with why it ended."""
        self.reason = reason
        return self


class Batcher:
    """Gathers events into one open batch per partition. Pure: it is told the time, and hands back what it closes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        """What closes a batch from now on; only its ``max_age`` has to stay."""
        self._open: dict[str, Batch] = {}  # the oldest first: a batch that closes is opened anew at the end

    @property
    def open(self) -> int:
        """How many batches are open."""
        return len(self._open)

    def add(self, held: Held, partition: str, now: float) -> list[Batch]:
        """Put an event into its partition's batch; returns the batches that this closed, none of them empty."""
        batch, size, closed = self._open.get(partition), len(held.event.body), list[Batch]()
        if batch is not None and batch.bytes + size > self.limits.max_bytes:
            closed.append(self._close(partition, CloseReason.BYTES))
            batch = None
        if batch is None:
            if len(self._open) >= self.limits.max_open:
                closed += self.close_fullest(CloseReason.PRESSURE)
            batch = self._open[partition] = Batch(partition, now)
        batch.held.append(held)
        batch.bytes += size
        if len(batch.held) >= self.limits.max_events:
            closed.append(self._close(partition, CloseReason.COUNT))
        elif batch.bytes >= self.limits.max_bytes:
            closed.append(self._close(partition, CloseReason.BYTES))
        return closed

    def add_all(self, held: Sequence[Held], now: float) -> list[Batch]:
        """Put events into the batches of their partitions, as ``add`` does one by one, in their order."""
        limits = self.limits
        closed: list[Batch] = []
        for partition, alike in _by_partition(held).items():
            batch, size = self._open.get(partition), sum([len(one.event.body) for one in alike])
            # what closes nothing goes in at once, as nearly all do: it takes a third
            if batch and batch.bytes + size < limits.max_bytes and len(batch.held) + len(alike) < limits.max_events:
                batch.held += alike
                batch.bytes += size
            else:
                closed += [full for one in alike for full in self.add(one, partition, now)]
        return closed

    def make_room(self, held: Held, partition: str) -> list[Batch]:
        """Close the partition's batch if this event would make it too large; ``add`` does so itself."""
        batch = self._open.get(partition)
        if batch is None or batch.bytes + len(held.event.body) <= self.limits.max_bytes:
            return []
        return [self._close(partition, CloseReason.BYTES)]

    @property
    def next_due(self) -> float | None:
        """When the oldest open batch comes of age; None while none is open."""
        for batch in self._open.values():
            return batch.opened_at + self.limits.max_age
        return None

    def close_due(self, now: float) -> list[Batch]:
        """Close the batches that have come of age."""
        due = [partition for partition, batch in self._open.items() if now >= batch.opened_at + self.limits.max_age]
        return [self._close(partition, CloseReason.AGE) for partition in due]

    def close_fullest(self, reason: CloseReason) -> list[Batch]:
        """Close the open batch with the most bytes; none while none is open."""
        if not self._open:
            return []
        fullest = max(self._open.values(), key=lambda batch: batch.bytes)
        return [self._close(fullest.partition, reason)]

    def close(self, partition: str, reason: CloseReason) -> list[Batch]:
        """Close the batch of one partition; none while it has none."""
        return [self._close(partition, reason)] if partition in self._open else []

    def close_all(self, reason: CloseReason) -> list[Batch]:
        """Close every open batch, the oldest first."""
        return [self._close(partition, reason) for partition in list(self._open)]

    def _close(self, partition: str, reason: CloseReason) -> Batch:
        return self._open.pop(partition).closed(reason)


def _by_partition(held: Sequence[Held]) -> Mapping[str, Sequence[Held]]:
    partitions = {one.partition for one in held}
    if len(partitions) == 1:  # of a receive most are
        return {partitions.pop(): held}
    groups: dict[str, list[Held]] = {}
    for one in held:
        groups.setdefault(one.partition, []).append(one)
    return groups
