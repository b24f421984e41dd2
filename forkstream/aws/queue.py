"""SQS as the source and the sink see it. A faster wire replaces aioboto3 by implementing this one protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from forkstream.event import Attribute

MAX_ENTRIES = 10
"""Messages a receive can bring and entries a batch can hold, see ReceiveMessage and SendMessageBatch."""
MAX_WAIT = 20
"""Seconds a long poll can last, see WaitTimeSeconds of ReceiveMessage."""
MAX_VISIBILITY = 43_200
"""Seconds a message can stay hidden, counted from its receive, see ChangeMessageVisibility."""


class ReceivedMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message as SQS handed it out. ``sent_at`` is in seconds since the epoch; the MD5s are SQS's own, in hex."""

    id: str
    receipt: str
    body: bytes
    body_md5: str
    attributes: Mapping[str, Attribute]
    attributes_md5: str | None
    sent_at: float
    receive_count: int
    group: str | None


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send; ``group`` and ``deduplication_id`` for FIFO queues only, where both are needed."""

    body: str
    attributes: Mapping[str, Attribute]
    group: str | None = None
    deduplication_id: str | None = None


class EntryFailure(msgspec.Struct, frozen=True):
    """One entry of a batch that SQS refused: its place in the batch, SQS's name of the reason, and whose fault it was."""

    position: int
    name: str
    sender_fault: bool
    message: str = ""


def unanswered(count: int, sent: Iterable[int], failures: Collection[EntryFailure]) -> list[EntryFailure]:
    """Name the entries of a batch that an answer does not name at all: they must not count as sent."""
    named = {*sent, *(failure.position for failure in failures)}
    return [EntryFailure(place, "Unanswered", sender_fault=False) for place in range(count) if place not in named]


class QueueClient(Protocol):
    """One queue. Every method raises one of the three kinds of DeliveryError when the call as a whole failed.

    The batch methods take 1 to 10 entries; an entry that is not named in the answer went through.
    """

    async def receive(
        self, limit: int, *, hold: int, wait: int, attempt: str | None = None
    ) -> Sequence[ReceivedMessage]:
        """Receive up to ``limit`` messages with all their attributes. ``attempt`` is the ReceiveRequestAttemptId of FIFO queues."""
        ...

    async def delete_batch(self, receipts: Sequence[str]) -> Collection[EntryFailure]:
        """Delete messages by the receipt handles of their last receive."""
        ...

    async def change_visibility_batch(self, receipts: Sequence[str], seconds: int) -> Collection[EntryFailure]:
        """Hide messages for ``seconds`` from now; 0 shows them at once."""
        ...

    async def send_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        """Send messages, in order where the queue keeps one."""
        ...

    async def attributes(self, *names: str) -> Mapping[str, str]:
        """Ask for queue attributes; those that are not set are left out."""
        ...
