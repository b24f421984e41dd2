"""Events into an SQS queue: replays, hand-overs between forks, dead letters."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from forkstream.aws.concurrently import concurrently
from forkstream.aws.errors import classify_entry
from forkstream.aws.message_limits import MAX_BYTES, billed_requests, checked_size
from forkstream.aws.open_queue import Client, open_queue
from forkstream.aws.origin import Origin
from forkstream.aws.queue import MAX_ENTRIES, OutgoingMessage, QueueClient
from forkstream.aws.queue_address import QueueAddress
from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink, Load, Permission
from forkstream.settings import AwsSettings, Settings

_CALLS_AT_ONCE = 16
_TOKEN = re.compile(r"[!-~]{1,128}")


class SqsSinkConfig(Settings):
    """A queue to send to."""

    queue: Annotated[str, Meta(description="the queue's name, URL or ARN")]
    group: (
        Annotated[
            str,
            Meta(
                description="the message group of every event, for a FIFO queue; without it an event keeps the group of its"
                " own FIFO source, or is a group of its own",
                pattern=f"^{_TOKEN.pattern}$",
            ),
        ]
        | None
    ) = None
    client: Annotated[
        Client,
        Meta(description="the wire to SQS: forkstream's own, or aioboto3, which costs more CPU and can use a proxy"),
    ] = "native"
    aws: Annotated[AwsSettings, Meta(description="where and as whom, over the fork's and the config's")] = AwsSettings()


class _Outgoing(msgspec.Struct, frozen=True):
    event: Event
    message: OutgoingMessage
    size: int


class SqsSink(EventSink[SqsSinkConfig]):
    """Sends events to one SQS queue, each with its attributes and its origin.

    Needs ``sqs:SendMessage``, ``sqs:GetQueueAttributes``, and for a name or ARN ``sqs:GetQueueUrl``. An event can
    arrive twice on a standard queue; on a FIFO queue a repeat within five minutes is dropped by SQS, since the
    deduplication id is made of the origin id and the run: a later run's replay of the same event does go through.
    """

    batch_defaults = BatchDefaults(max_events=500, max_bytes=4 * 2**20, max_age=0.2)

    def __init__(self, config: SqsSinkConfig, context: Context) -> None:
        super().__init__(config, context)
        self._address = QueueAddress.parse(config.queue)
        self._aws = config.aws.over(context.aws)
        self.ordered = self._address.fifo
        if config.group is not None and not self.ordered:
            raise ValueError(f"group: only a FIFO queue has groups, and {config.queue!r} does not end in .fifo")

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        """Open the wire. Another one takes this one's place here."""
        return open_queue(self.config.client, self._address, self._aws)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._queue = await stack.enter_async_context(self.connect())
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def billed(self, load: Load) -> Mapping[str, float]:
        """Requests of ten messages or fewer."""
        return {"sqs_fifo_request" if self.ordered else "sqs_request": max(billed_requests(load), load.batches)}

    def permissions(self) -> Iterable[Permission]:
        found = () if self._address.url else ("sqs:GetQueueUrl",)
        sending = ("sqs:SendMessage", "sqs:GetQueueAttributes", *found)
        yield Permission(actions=sending, resource=self._address.arn, aws=self._aws)
        yield Permission(actions=("kms:GenerateDataKey", "kms:Decrypt"), key_of="sqs", aws=self._aws)

    async def check(self) -> None:
        async with self.connect() as queue:  # of its own: a halted fork asks before it has opened
            await queue.attributes("QueueArn")

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        failures, errors = await (self._send_in_order(events) if self.ordered else self._send(events))
        if errors and len(failures) == len(events):  # nothing went through, so nothing is forgotten by raising
            raise next((error for error in errors if isinstance(error, UnavailableError)), errors[0])
        return failures

    async def _send_in_order(self, events: Sequence[Event]) -> tuple[list[Failure], list[DeliveryError]]:
        """Send round by round the first waiting event of every group.

        Entries of one request succeed or fail one by one, so two of a group in one request could change places.
        """
        waiting: dict[str, deque[Event]] = {}
        for event in events:
            waiting.setdefault(self._group(event), deque()).append(event)
        failures: list[Failure] = []
        errors: list[DeliveryError] = []
        while waiting:
            round_failures, round_errors = await self._send([group[0] for group in waiting.values()])
            errors += round_errors
            failures += round_failures
            failed = {failure.event for failure in round_failures}
            for name, group in list(waiting.items()):
                if group.popleft() in failed:
                    failures += [Failure.transient(event, "behind") for event in group]
                    del waiting[name]
                elif not group:
                    del waiting[name]
        return failures, errors

    async def _send(self, events: Sequence[Event]) -> tuple[list[Failure], list[DeliveryError]]:
        """Send in full batches, several at once; give the failed events, and the errors of calls that failed as a whole."""
        failures: list[Failure] = []
        errors: list[DeliveryError] = []
        outgoing: list[_Outgoing] = []
        for event in events:
            try:
                message = self._message(event)
                outgoing.append(_Outgoing(event, message, checked_size(message)))
            except PermanentError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
        batches = list(_batches(outgoing))
        outcomes = await concurrently(self._send_batch, batches, at_once=_CALLS_AT_ONCE)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, DeliveryError):
                errors.append(outcome)
                failures += [Failure.transient(one.event, outcome.code, outcome.detail) for one in batch]
            else:
                failures += outcome
        return failures, errors

    async def _send_batch(self, batch: Sequence[_Outgoing]) -> list[Failure]:
        """Send 1 to 10 messages. A request that is refused for its content is halved until single messages stand accused."""
        try:
            refused = await self._queue.send_batch([one.message for one in batch])
        except PermanentError as error:
            if len(batch) == 1:
                return [Failure.permanent(batch[0].event, error.code, error.detail)]
            half = len(batch) // 2
            return [*await self._send_batch(batch[:half]), *await self._send_batch(batch[half:])]
        judged = [(entry, *classify_entry(entry.name, sender_fault=entry.sender_fault)) for entry in refused]
        if len(judged) == len(batch) and all(kind is UnavailableError for _, kind, _ in judged):
            entry, _, code = judged[0]
            raise UnavailableError(code, f"sqs:SendMessage on {self._address.name}: {entry.name}")
        return [
            (Failure.permanent if kind is PermanentError else Failure.transient)(
                batch[entry.position].event, code, f"{entry.name}: {entry.message}"
            )
            for entry, kind, code in judged
        ]

    def _message(self, event: Event) -> OutgoingMessage:
        try:
            body = event.body.decode()
        except UnicodeDecodeError:
            raise PermanentError("not_text", "SQS takes text only") from None
        attributes = Origin.of(event).mark(event.attributes)
        if not self.ordered:
            return OutgoingMessage(body=body, attributes=attributes)
        repeat = sha256(f"{self.context.run}\n{event.id}".encode()).hexdigest()
        return OutgoingMessage(body=body, attributes=attributes, group=self._group(event), deduplication_id=repeat)

    def _group(self, event: Event) -> str:
        """Name the message group; SQS takes 128 characters of ASCII without spaces, anything else goes by its hash."""
        name = self.config.group or event.group or event.id
        return name if _TOKEN.fullmatch(name) else sha256(name.encode()).hexdigest()


def _batches(outgoing: Iterable[_Outgoing]) -> Iterable[list[_Outgoing]]:
    batch: list[_Outgoing] = []
    size = 0
    for one in outgoing:
        if batch and (len(batch) == MAX_ENTRIES or size + one.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch
