"""SQS through aioboto3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from forkstream.aws.errors import translating
from forkstream.aws.queue import MAX_WAIT, EntryFailure, OutgoingMessage, ReceivedMessage
from forkstream.aws.queue_address import QueueAddress
from forkstream.aws.sdk_answer import failed_entries, of_json, reading, unsent_entries
from forkstream.aws.session import AwsSession
from forkstream.event import Attribute
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

_READ_TIMEOUT = 15.0


class AiobotoQueueClient:
    """One queue through aioboto3. Long polls have a client of their own: no delete ever waits for a connection behind one."""

    def __init__(self, name: str, url: str, polls: SQSClient, calls: SQSClient) -> None:
        self._name = name
        self._url = url
        self._polls = polls
        self._calls = calls

    @classmethod
    @asynccontextmanager
    async def open(cls, address: QueueAddress, settings: AwsSettings) -> AsyncIterator[Self]:
        """Open the clients and look up the queue's URL, unless the address is one."""
        session = AwsSession(address.settings(settings))
        async with (
            session.client("sqs", read_timeout=MAX_WAIT + _READ_TIMEOUT) as polls,
            session.client("sqs", read_timeout=_READ_TIMEOUT) as calls,
        ):
            url = address.url
            if url is None:
                owner: Any = {"QueueOwnerAWSAccountId": address.account} if address.account else {}
                with translating("sqs:GetQueueUrl", address.name), reading("SQS", f"sqs:GetQueueUrl on {address.name}"):
                    url = (await calls.get_queue_url(QueueName=address.name, **owner))["QueueUrl"]
            yield cls(address.name, url, polls, calls)

    async def receive(
        self, limit: int, *, hold: int, wait: int, attempt: str | None = None
    ) -> Sequence[ReceivedMessage]:
        fifo: Any = {"ReceiveRequestAttemptId": attempt} if attempt else {}
        with translating("sqs:ReceiveMessage", self._name):
            answer = await self._polls.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=limit,
                VisibilityTimeout=hold,
                WaitTimeSeconds=wait,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                **fifo,
            )
        with self._reading(answer, "sqs:ReceiveMessage"):
            return [_received(message) for message in answer.get("Messages") or ()]

    async def delete_batch(self, receipts: Sequence[str]) -> Collection[EntryFailure]:
        with translating("sqs:DeleteMessage", self._name):
            answer = await self._calls.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(place), "ReceiptHandle": receipt} for place, receipt in enumerate(receipts)],
            )
        with self._reading(answer, "sqs:DeleteMessage"):
            return failed_entries(answer, len(receipts))

    async def change_visibility_batch(self, receipts: Sequence[str], seconds: int) -> Collection[EntryFailure]:
        with translating("sqs:ChangeMessageVisibility", self._name):
            answer = await self._calls.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                    for place, receipt in enumerate(receipts)
                ],
            )
        with self._reading(answer, "sqs:ChangeMessageVisibility"):
            return failed_entries(answer, len(receipts))

    async def send_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        entries: Any = [_entry(place, message) for place, message in enumerate(messages)]
        with translating("sqs:SendMessage", self._name):
            answer = await self._calls.send_message_batch(QueueUrl=self._url, Entries=entries)
        with self._reading(answer, "sqs:SendMessage"):
            return unsent_entries(answer, len(messages))

    async def attributes(self, *names: str) -> Mapping[str, str]:
        wanted: Any = names
        with translating("sqs:GetQueueAttributes", self._name):
            answer = await self._calls.get_queue_attributes(QueueUrl=self._url, AttributeNames=wanted)
        with self._reading(answer, "sqs:GetQueueAttributes"):
            return {str(name): value for name, value in answer.get("Attributes", {}).items()}

    def _reading(self, answer: Mapping[str, Any], action: str) -> AbstractContextManager[None]:
        where = f"{action} on {self._name}"
        of_json("SQS", answer, where)
        return reading("SQS", where)


def _received(message: Mapping[str, Any]) -> ReceivedMessage:
    system = message.get("Attributes", {})
    return ReceivedMessage(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"].encode(errors="surrogatepass"),  # a damaged body is for the MD5 check to find
        body_md5=message["MD5OfBody"],
        attributes={name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        attributes_md5=message.get("MD5OfMessageAttributes"),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        group=system.get("MessageGroupId"),
    )


def _attribute(value: Mapping[str, Any]) -> Attribute:
    kind = value["DataType"]
    return Attribute(kind, value.get("BinaryValue", b"") if kind.startswith("Binary") else value.get("StringValue", ""))


def _entry(place: int, message: OutgoingMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(place), "MessageBody": message.body}
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {
                "DataType": attribute.type,
                "BinaryValue" if isinstance(attribute.value, bytes) else "StringValue": attribute.value,
            }
            for name, attribute in message.attributes.items()
        }
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.deduplication_id is not None:
        entry["MessageDeduplicationId"] = message.deduplication_id
    return entry
