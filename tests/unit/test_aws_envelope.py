from __future__ import annotations

from typing import Any

import msgspec
import pytest

from forkstream.aws.envelope import Envelope
from forkstream.event import Attribute

TOPIC = "arn:aws:sns:eu-west-1:111122223333:orders"
NOTIFICATION: dict[str, Any] = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "an order",
    "Message": '{"id": 1, "note": "\u00e9"}',
    "Timestamp": "2012-05-02T00:54:06.655Z",
    "SignatureVersion": "1",
    "Signature": "EXAMPLE",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem",
    "UnsubscribeURL": f"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0-26c4",
    "MessageAttributes": {
        "amount": {"Type": "Number", "Value": "100.50"},
        "tags": {"Type": "String.Array", "Value": '["a"]'},
        "blob": {"Type": "Binary", "Value": "AP8="},
    },
}


def body(**changes: Any) -> bytes:
    return msgspec.json.encode({k: v for k, v in (NOTIFICATION | changes).items() if v is not None})


def test_an_envelope_gives_back_what_was_published() -> None:
    assert Envelope.parse(body()) == Envelope(
        id="22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        topic=TOPIC,
        subscription=f"{TOPIC}:c9135db0-26c4",
        body='{"id": 1, "note": "\u00e9"}'.encode(),
        sent_at=1335920046.655,
        attributes={
            "amount": Attribute("Number", "100.50"),
            "tags": Attribute("String.Array", '["a"]'),
            "blob": Attribute("Binary", b"\x00\xff"),
        },
    )


@pytest.mark.parametrize(
    "changes", [{"SequenceNumber": "1"}, {"Subject": None}, {"MessageAttributes": None}, {"New": {}}]
)
def test_keys_that_come_and_go_do_not_matter(changes: dict[str, Any]) -> None:
    assert Envelope.parse(body(**changes)) is not None


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"not json",
        b'{"id": 1}',
        b'["Notification", "TopicArn"]',
        b'{"TopicArn": "Notification"',
        b'{"a":' * 100_000 + b'"TopicArn" "Notification"',
        body(Type="SubscriptionConfirmation", Subject='"Notification"'),
        body(TopicArn="arn:aws:sqs:eu-west-1:111122223333:orders"),
        body(Message={"id": 1}),
        body(MessageId=None),
        body(MessageId=""),
        body(Timestamp="yesterday"),
        body(Timestamp="2012-05-02T00:54:06.655"),
        body(MessageAttributes={"x": "y"}),
        body(MessageAttributes={"x": {"Type": "Binary", "Value": "?"}}),
        body(UnsubscribeURL="http://[::"),
    ],
)
def test_another_shape_is_no_envelope(other: bytes) -> None:
    assert Envelope.parse(other) is None
