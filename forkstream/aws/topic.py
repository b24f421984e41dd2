"""SNS as the sink sees it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import msgspec

from forkstream.aws.errors import translating
from forkstream.aws.queue import EntryFailure, OutgoingMessage
from forkstream.aws.sdk_answer import reading, unsent_entries
from forkstream.aws.session import AwsSession
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

MAX_ENTRIES = 10
"""Entries of one batch, see PublishBatch."""
MAX_BYTES = 262_144
"""Bytes of one message, and of all messages of a batch together, attributes counted, see PublishBatch."""
_ARN = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):\d{12}:(?P<name>[A-Za-z0-9_-]{1,256}(?:\.fifo)?)")


class TopicAddress(msgspec.Struct, frozen=True):
    """A topic by its ARN, which alone names one: unlike a queue's, a topic's name cannot be looked up."""

    arn: str
    name: str
    region: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ARN; raises ValueError with what would fit."""
        found = _ARN.fullmatch(text)
        if found is None or len(found["name"]) > 256:
            raise ValueError(f"topic: expected the ARN of an SNS topic, found {text!r}")
        return cls(text, found["name"], found["region"])

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO topic: SNS demands the suffix of those, and refuses it to others."""
        return self.name.endswith(".fifo")


class TopicClient:
    """One topic."""

    def __init__(self, address: TopicAddress, client: SNSClient) -> None:
        self._address = address
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, address: TopicAddress, settings: AwsSettings) -> AsyncIterator[Self]:
        """Open a client in the topic's own region."""
        settings = msgspec.structs.replace(settings, region=address.region)
        async with AwsSession(settings).client("sns") as client:
            yield cls(address, client)

    async def publish_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        """Publish 1 to 10 messages; give the entries that did not go through. Raises one of the three kinds."""
        entries: Any = [_entry(place, message) for place, message in enumerate(messages)]
        with translating("sns:Publish", self._address.name):
            answer = await self._client.publish_batch(TopicArn=self._address.arn, PublishBatchRequestEntries=entries)
        with reading("SNS", f"sns:Publish on {self._address.name}"):
            return unsent_entries(answer, len(messages))

    async def check(self) -> None:
        """See that the topic is there; the right to publish cannot be seen."""
        with translating("sns:GetTopicAttributes", self._address.name):
            await self._client.get_topic_attributes(TopicArn=self._address.arn)


def _entry(place: int, message: OutgoingMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(place), "Message": message.body}
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
