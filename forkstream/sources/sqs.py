"""Events from an SQS queue, sent there by SNS or by anyone."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar, cast
from uuid import uuid4

import msgspec
from msgspec import Meta

from forkstream.aws.checksum import intact
from forkstream.aws.concurrently import concurrently
from forkstream.aws.envelope import Envelope
from forkstream.aws.errors import classify_entry
from forkstream.aws.message_limits import billed_requests
from forkstream.aws.open_queue import Client, open_queue
from forkstream.aws.origin import ORIGIN_ATTRIBUTE, Origin
from forkstream.aws.queue import MAX_ENTRIES, MAX_VISIBILITY, MAX_WAIT, EntryFailure, QueueClient, ReceivedMessage
from forkstream.aws.queue_address import QueueAddress
from forkstream.aws.queue_advice import QueueAdvice, advice_on_attributes
from forkstream.aws.subscriptions import Subscriptions
from forkstream.errors import DeliveryError, PermanentError
from forkstream.event import Event
from forkstream.ports import Advice, Backlog, Context, Load, Permission, Receipt, Refusal, Source, Surroundings
from forkstream.settings import AwsSettings, Settings

Content = TypeVar("Content", ReceivedMessage, Envelope)

_CALLS_AT_ONCE = 16
# The handle is no longer the message's, or its 12 hours are over: no further attempt can succeed.
_LOST = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"})


class SqsSourceConfig(Settings):
    """A queue, and how the messages in it are wrapped."""

    queue: Annotated[str, Meta(description="the queue's name, URL or ARN; a name ending in .fifo is an ordered source")]
    envelope: Annotated[
        Literal["auto", "raw", "sns"],
        Meta(
            description="whether SNS wraps messages (raw delivery off): raw never unwraps, sns unwraps all that have the"
            " shape, auto asks SNS which subscriptions feed the queue and unwraps only what came through them; the redrive"
            " queue of a queue with wrapped messages needs sns"
        ),
    ] = "auto"
    client: Annotated[
        Client,
        Meta(description="the wire to SQS: forkstream's own, or aioboto3, which costs more CPU and can use a proxy"),
    ] = "native"
    aws: Annotated[AwsSettings, Meta(description="where and as whom, over the fork's and the config's")] = AwsSettings()


class SqsSource(Source[SqsSourceConfig]):
    """Receives from one SQS queue.

    Needs ``sqs:ReceiveMessage``, ``sqs:DeleteMessage``, ``sqs:ChangeMessageVisibility``, ``sqs:GetQueueAttributes``,
    for a name or ARN ``sqs:GetQueueUrl``, and for ``envelope: auto`` what :class:`Subscriptions` needs.
    """

    hold_limit = float(MAX_VISIBILITY)
    in_flight_limit = 120_000  # of standard and of FIFO queues, see "Amazon SQS message quotas"
    max_receive = MAX_ENTRIES

    def __init__(self, config: SqsSourceConfig, context: Context) -> None:
        super().__init__(config, context)
        self._address = QueueAddress.parse(config.queue)
        self._aws = config.aws.over(context.aws)
        self.ordered = self._address.fifo
        self._unanswered: list[str] = []
        self._unwraps = config.envelope != "raw"

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        """Open the wire. Another one takes this one's place here."""
        return open_queue(self.config.client, self._address, self._aws)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._queue = await stack.enter_async_context(self.connect())
            self._subscriptions = Subscriptions(self._queue, self._aws)
            if self.config.envelope == "auto":
                await self._subscriptions.load()
            else:
                await self._queue.attributes("QueueArn")
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def check(self) -> None:
        async with self.connect() as queue:  # of its own: a halted fork asks before it has opened
            await queue.attributes("QueueArn")

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        if not fork.connected:
            return advice_on_attributes(fork) if self.config.envelope == "raw" else ()
        looking = QueueAdvice(self._queue, self.config.client, self._aws, fifo=self.ordered)
        return await looking.of(fork, unwraps=self.config.envelope == "sns")

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        if self._subscriptions.owed:
            await self._subscriptions.load()
        receive = self._receive_in_order if self.ordered else self._queue.receive
        messages = await receive(
            min(limit, MAX_ENTRIES),
            hold=min(max(math.ceil(hold), 1), MAX_VISIBILITY),
            wait=min(max(math.floor(wait), 0), MAX_WAIT),
        )
        sound = intact(messages)
        self.damaged += len(messages) - len(sound)
        unwraps, ordered = self._unwraps, self.ordered
        received: list[tuple[Event, Receipt]] = []
        for message in sound:
            content: ReceivedMessage | Envelope = message
            # SNS's envelope keeps the attributes inside, so a message that has some is not wrapped
            if message.attributes:
                content = _restored(message)
            elif unwraps and Envelope.marked(message.body):
                content = await self._unwrapped(message)
            event = Event(
                content.body,
                id=content.id,
                sent_at=content.sent_at,
                receive_count=message.receive_count,
                attributes=content.attributes,
                group=message.group if ordered else None,  # a standard queue's group is a tenant, not an order
            )
            received.append((event, message.receipt))
        return received

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        return await self._settle(receipts, self._queue.delete_batch)

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        visibility = min(max(math.ceil(seconds), 0), MAX_VISIBILITY)
        return await self._settle(receipts, lambda some: self._queue.change_visibility_batch(some, visibility))

    def billed(self, load: Load) -> Mapping[str, float]:
        """Receives and deletes.

        A receive returns with what there is, so that at low rates it brings less than ten: 50 a second and worker are
        reckoned with before they fill, and 20 deletes, which wait for each other for 50 ms. An idle one waits 20 s.
        """
        full = load.events / MAX_ENTRIES
        receives = max(full, min(load.events, 50 * load.workers), load.workers / MAX_WAIT)
        deletes = max(full, min(load.events, 20 * load.workers))
        larger = billed_requests(load) - full  # receives that are billed as several
        return {"sqs_fifo_request" if self.ordered else "sqs_request": receives + larger + deletes}

    def permissions(self) -> Iterable[Permission]:
        asked = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes")
        found = () if self._address.url else ("sqs:GetQueueUrl",)
        yield Permission(actions=asked + found, resource=self._address.arn, aws=self._aws)
        yield Permission(actions=("kms:Decrypt",), key_of="sqs", aws=self._aws)
        if self.config.envelope == "auto":
            yield Permission(
                actions=("sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"),
                resource="arn:{partition}:sns:{region}:{account}:*",  # whichever topics the queue's policy names
                aws=self._aws,
            )

    async def backlog(self) -> Backlog:
        ready, in_flight = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        found = await self._queue.attributes(ready, in_flight)
        return Backlog(ready=int(found.get(ready, 0)), in_flight=int(found.get(in_flight, 0)))

    async def _receive_in_order(self, limit: int, *, hold: int, wait: int) -> Sequence[ReceivedMessage]:
        """Receive from a FIFO queue under an attempt id, so that what a lost answer held comes with the next attempt.

        Without it, those messages and all later ones of their groups would wait until the hold runs out.
        """
        attempt = self._unanswered.pop() if self._unanswered else uuid4().hex
        try:
            return await self._queue.receive(limit, hold=hold, wait=wait, attempt=attempt)
        except BaseException:
            self._unanswered.append(attempt)
            raise

    async def _unwrapped(self, message: ReceivedMessage) -> ReceivedMessage | Envelope:
        """Take a message out of SNS's envelope, if it is in one."""
        envelope = Envelope.parse(message.body)
        if envelope is None:
            return message
        wrapped = self.config.envelope == "sns" or await self._subscriptions.wrapped(envelope)
        return _restored(envelope) if wrapped else message

    async def _settle(
        self, receipts: Sequence[Receipt], call: Callable[[Sequence[str]], Awaitable[Collection[EntryFailure]]]
    ) -> Collection[Refusal]:
        """Settle ten at a time; raises only if not one call went through, since the others' outcome would be lost with it."""
        handles = cast("Sequence[str]", receipts)
        chunks = [handles[start : start + MAX_ENTRIES] for start in range(0, len(handles), MAX_ENTRIES)]
        outcomes = await concurrently(call, chunks, at_once=_CALLS_AT_ONCE)
        errors = [outcome for outcome in outcomes if isinstance(outcome, DeliveryError)]
        if errors and len(errors) == len(chunks):
            raise errors[0]
        refusals: list[Refusal] = []
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            if isinstance(outcome, DeliveryError):
                refusals += [Refusal(handle, lost=False, code=outcome.code) for handle in chunk]
            else:
                refusals += [_refusal(chunk[failure.position], failure) for failure in outcome]
        return refusals


def _restored(content: Content) -> Content:
    """Give what was sent again the id and the time of its first sending, which an attribute carries along."""
    origin = Origin.parse(content.attributes[ORIGIN_ATTRIBUTE]) if ORIGIN_ATTRIBUTE in content.attributes else None
    if origin is None:
        return content
    attributes = {name: value for name, value in content.attributes.items() if name != ORIGIN_ATTRIBUTE}
    return msgspec.structs.replace(content, id=origin.id, sent_at=origin.sent_at, attributes=attributes)


def _refusal(receipt: str, failure: EntryFailure) -> Refusal:
    if failure.name.rpartition(".")[2] in _LOST:
        return Refusal(receipt, lost=True, code="expired")
    kind, code = classify_entry(failure.name, sender_fault=failure.sender_fault)
    return Refusal(receipt, lost=kind is PermanentError, code=code)
