"""Events into an SQS queue: replays, hand-overs between forks, dead letters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Self

from msgspec import Meta

from forkstream.aws.message_limits import MAX_BYTES, billed_requests, checked_size
from forkstream.aws.open_queue import Client, open_queue
from forkstream.aws.origin import Origin
from forkstream.aws.queue import MAX_ENTRIES, OutgoingMessage, QueueClient
from forkstream.aws.queue_address import QueueAddress
from forkstream.errors import PermanentError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink, Load, Permission
from forkstream.settings import AwsSettings, Settings
from forkstream.sinks.message_batches import MessageBatches

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
            queue = await stack.enter_async_context(self.connect())
            self._batches = MessageBatches(
                make=self._message,
                send=queue.send_batch,
                max_entries=MAX_ENTRIES,
                max_bytes=MAX_BYTES,
                action=f"sqs:SendMessage on {self._address.name}",
            )
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
        if self.ordered:
            return await self._batches.write_in_order(events, self._group)
        return await self._batches.write(events)

    def _message(self, event: Event) -> tuple[OutgoingMessage, int]:
        try:
            body = event.body.decode()
        except UnicodeDecodeError:
            raise PermanentError("not_text", "SQS takes text only") from None
        repeat = sha256(f"{self.context.run}\n{event.id}".encode()).hexdigest() if self.ordered else None
        message = OutgoingMessage(
            body=body,
            attributes=Origin.of(event).mark(event.attributes),
            group=self._group(event) if self.ordered else None,
            deduplication_id=repeat,
        )
        return message, checked_size(message)

    def _group(self, event: Event) -> str:
        """Name the message group; SQS takes 128 characters of ASCII without spaces, anything else goes by its hash."""
        name = self.config.group or event.group or event.id
        return name if _TOKEN.fullmatch(name) else sha256(name.encode()).hexdigest()
