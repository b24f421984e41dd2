from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from forkstream.aws import subscriptions
from forkstream.aws.queue import QueueClient, ReceivedMessage
from forkstream.errors import UnavailableError
from forkstream.ports import Context
from forkstream.settings import AwsSettings
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from tests.fake_queue import FakeQueue

TOPIC, QUEUE = "arn:aws:sns:eu-west-1:000000000000:orders", "arn:aws:sqs:eu-west-1:000000000000:orders"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": QUEUE,
            "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
        }
    ],
}
UNSUBSCRIBE = f"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={TOPIC}:1"
ENVELOPE = json.dumps(
    {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": TOPIC,
        "Message": "hello",
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem",
        "UnsubscribeURL": UNSUBSCRIBE,
    }
).encode()
MESSAGE = ReceivedMessage(
    id="1",
    receipt="r1",
    body=ENVELOPE,
    body_md5=hashlib.md5(ENVELOPE, usedforsecurity=False).hexdigest(),
    attributes={},
    attributes_md5=None,
    sent_at=1.0,
    receive_count=1,
    group=None,
)


class FakeSource(SqsSource):
    def __init__(self, fake: FakeQueue) -> None:
        super().__init__(SqsSourceConfig(queue="orders", envelope="auto"), Context(fork="f"))
        self.fake = fake

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        return self.fake.open()


async def test_while_sns_tells_nothing_no_further_message_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be received in vain, until the queue's redrive took it for poison."""
    answers: list[dict[str, Mapping[str, str]] | UnavailableError] = [
        {},
        *[UnavailableError("denied")] * 3,
        {f"{TOPIC}:1": {"RawMessageDelivery": "false"}},
    ]

    async def feeding(_topic: str, _queue: str, _settings: AwsSettings) -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, UnavailableError):
            raise answer
        return dict(answer)

    monkeypatch.setattr(subscriptions, "feeding_subscriptions", feeding)
    monkeypatch.setattr(subscriptions, "_FRESH_SECONDS", -1.0)
    again = msgspec.structs.replace(MESSAGE, receive_count=2)
    fake = FakeQueue(messages=[[MESSAGE], [again]], attributes={"QueueArn": QUEUE, "Policy": json.dumps(POLICY)})
    async with FakeSource(fake) as source:
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await source.receive(10, hold=60, wait=1)
        assert len(fake.receives) == 1
        ((event, _),) = await source.receive(10, hold=60, wait=1)
    assert event.body == b"hello"
