"""Events to an SNS topic: to pass on what a fork has cleaned, enriched or filtered, to any number of subscribers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from types import TracebackType
from typing import Annotated, Self

from msgspec import Meta

from forkstream.aws.message_limits import billed_requests, checked_size
from forkstream.aws.origin import Origin
from forkstream.aws.queue import OutgoingMessage
from forkstream.aws.topic import MAX_BYTES, MAX_ENTRIES, TopicAddress, TopicClient
from forkstream.errors import PermanentError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink, Load, Permission
from forkstream.settings import AwsSettings, Settings
from forkstream.sinks.message_batches import MessageBatches

_GROUP = re.compile(r"[!-~]{1,128}")


class SnsSinkConfig(Settings):
    """A topic to publish to."""

    topic: Annotated[str, Meta(description="the topic's ARN; its region is where it is reached")]
    group: (
        Annotated[
            str,
            Meta(
                description="the message group of every event, for a FIFO topic; without it an event keeps the group of its"
                " own FIFO source, or is a group of its own",
                pattern=f"^{_GROUP.pattern}$",
            ),
        ]
        | None
    ) = None
    aws: Annotated[AwsSettings, Meta(description="where and as whom, over the fork's and the config's")] = AwsSettings()


class SnsSink(EventSink[SnsSinkConfig]):
    """Publishes events to one SNS topic, each with its attributes, which filter policies read, and its origin.

    Needs ``sns:Publish``, and ``sns:GetTopicAttributes`` to be checked. A message may have ten attributes, the origin
    among them: SNS takes more, and then discards the message, without a word, for queues with raw delivery. An event
    can arrive twice; at a FIFO topic a repeat within five minutes is dropped by SNS, since the deduplication id is
    made of the origin id and the run.
    """

    batch_defaults = BatchDefaults(max_events=500, max_bytes=4 * 2**20, max_age=0.2)

    def __init__(self, config: SnsSinkConfig, context: Context) -> None:
        super().__init__(config, context)
        self._address = TopicAddress.parse(config.topic)
        self._aws = config.aws.over(context.aws)
        self.ordered = self._address.fifo
        if config.group is not None and not self.ordered:
            raise ValueError(f"group: only a FIFO topic has groups, and {self._address.name!r} does not end in .fifo")

    def connect(self) -> AbstractAsyncContextManager[TopicClient]:
        """Open the wire. Another one takes this one's place here."""
        return TopicClient.open(self._address, self._aws)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            topic = await stack.enter_async_context(self.connect())
            self._batches = MessageBatches(
                make=self._message,
                send=topic.publish_batch,
                max_entries=MAX_ENTRIES,
                max_bytes=MAX_BYTES,
                action=f"sns:Publish on {self._address.name}",
            )
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def check(self) -> None:
        async with self.connect() as topic:  # of its own: a halted fork asks before it has opened
            await topic.check()

    def permissions(self) -> Iterable[Permission]:
        publishing = ("sns:Publish", "sns:GetTopicAttributes")
        yield Permission(actions=publishing, resource=self._address.arn, aws=self._aws)
        yield Permission(actions=("kms:GenerateDataKey", "kms:Decrypt"), key_of="sns", aws=self._aws)

    def billed(self, load: Load) -> Mapping[str, float]:
        """Requests of ten messages or fewer; deliveries to queues are free."""
        return {"sns_request": max(billed_requests(load), load.batches)}

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        if self.ordered:
            return await self._batches.write_in_order(events, self._group)
        return await self._batches.write(events)

    def _message(self, event: Event) -> tuple[OutgoingMessage, int]:
        try:
            body = event.body.decode()
        except UnicodeDecodeError:
            raise PermanentError("not_text", "SNS takes text only") from None
        repeat = sha256(f"{self.context.run}\n{event.id}".encode()).hexdigest()
        message = OutgoingMessage(
            body=body,
            attributes=Origin.of(event).mark(event.attributes),
            group=self._group(event) if self.ordered else None,
            deduplication_id=repeat if self.ordered else None,
        )
        size = checked_size(message)  # as SQS counts and allows it: that is where nearly all messages go
        if size > MAX_BYTES:
            raise PermanentError("too_large", f"{size} bytes with attributes, of {MAX_BYTES} that SNS takes")
        return message, size

    def _group(self, event: Event) -> str:
        """Name the message group; SNS takes 128 characters of ASCII without spaces, anything else goes by its hash."""
        name = self.config.group or event.group or event.id
        return name if _GROUP.fullmatch(name) else sha256(name.encode()).hexdigest()
