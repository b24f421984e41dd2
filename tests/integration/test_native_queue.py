"""What SQS answers becomes what the port promises: messages, refused entries, and errors of the right kind."""

from __future__ import annotations

import json

import pytest

from forkstream.aws.aioboto_queue import AiobotoQueueClient
from forkstream.aws.native_queue import NativeQueueClient
from forkstream.aws.open_queue import open_queue
from forkstream.aws.queue import EntryFailure, OutgoingMessage, ReceivedMessage
from forkstream.aws.queue_address import QueueAddress
from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Attribute
from forkstream.settings import AwsSettings
from tests.integration.native_queue_kit import OK, URL, answer, own_keys, queue, refusal

__all__ = ["own_keys"]
pytestmark = pytest.mark.usefixtures("own_keys")

MESSAGE = {
    "MessageId": "1",
    "ReceiptHandle": "r",
    "Body": "caf\u00e9",
    "MD5OfBody": "m",
    "MD5OfMessageAttributes": "a",
    "Attributes": {"SentTimestamp": "1335920046655", "ApproximateReceiveCount": "3", "MessageGroupId": "g"},
    "MessageAttributes": {
        "n": {"DataType": "Number", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": "AP8=", "StringListValues": []},
    },
}


async def test_a_receive_asks_for_all_and_brings_all() -> None:
    async with queue(answer({"Messages": [MESSAGE], "Unknown": 1}), OK, answer({"Messages": []})) as (client, sqs):
        (message,) = await client.receive(10, hold=60, wait=20, attempt="again")
        assert [list(await client.receive(1, hold=0, wait=0)) for _ in range(2)] == [[], []]
    assert message == ReceivedMessage(
        id="1",
        receipt="r",
        body="caf\u00e9".encode(),
        body_md5="m",
        attributes={"n": Attribute("Number", "1"), "b": Attribute("Binary", b"\x00\xff")},
        attributes_md5="a",
        sent_at=1335920046.655,
        receive_count=3,
        group="g",
    )
    assert sqs.bodies[0] == {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "VisibilityTimeout": 60,
        "WaitTimeSeconds": 20,
        "ReceiveRequestAttemptId": "again",
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount", "MessageGroupId"],
        "MessageAttributeNames": ["All"],
    }
    assert "ReceiveRequestAttemptId" not in sqs.bodies[1]
    assert sqs.heads[0]["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert sqs.heads[0]["content-type"] == "application/x-amz-json-1.0"


async def test_half_a_surrogate_pair_damages_one_message_and_not_its_neighbours() -> None:
    damaged = json.dumps({"Messages": [MESSAGE, MESSAGE | {"Body": "\ud800"}]}).encode()
    async with queue(answer(damaged)) as (client, _):
        bodies = [message.body for message in await client.receive(10, hold=60, wait=0)]
    assert bodies == ["caf\u00e9".encode(), b"\xed\xa0\x80"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"Messages": [{}]}', b'{"Messages": 1}', b"\xff", b"[" * 100_000])
async def test_an_answer_that_is_none_of_sqs_is_damaged_in_transit(body: bytes) -> None:
    async with queue(answer(body)) as (client, _):
        with pytest.raises(TransientError) as caught:
            await client.receive(10, hold=60, wait=0)
    assert caught.value.code == "damaged_in_transit"


async def test_refused_entries_are_named_by_their_place() -> None:
    failed = {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "why"}
    done = answer({"Successful": [{"Id": "0"}, {"Id": "1"}]})
    async with queue(answer({"Failed": [failed]}), answer({"Failed": [{"Id": "0"}]}), done) as (client, sqs):
        assert list(await client.delete_batch(["a", "b"])) == [EntryFailure(1, "ReceiptHandleIsInvalid", True, "why")]
        assert list(await client.change_visibility_batch(["a"], 7)) == [EntryFailure(0, "", False, "")]
        sent = OutgoingMessage(
            body="x",
            attributes={"t": Attribute("String", ""), "b": Attribute("Binary.x", b"\x00\xff")},
            group="g",
            deduplication_id="d",
        )
        assert list(await client.send_batch([sent, OutgoingMessage(body="y", attributes={})])) == []
    assert sqs.bodies[0]["Entries"] == [{"Id": "0", "ReceiptHandle": "a"}, {"Id": "1", "ReceiptHandle": "b"}]
    assert sqs.bodies[1]["Entries"] == [{"Id": "0", "ReceiptHandle": "a", "VisibilityTimeout": 7}]
    assert sqs.bodies[2]["Entries"] == [
        {
            "Id": "0",
            "MessageBody": "x",
            "MessageAttributes": {
                "t": {"DataType": "String", "StringValue": ""},
                "b": {"DataType": "Binary.x", "BinaryValue": "AP8="},
            },
            "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
        },
        {"Id": "1", "MessageBody": "y"},
    ]


@pytest.mark.parametrize("place", ["3", "-1"])
async def test_an_answer_about_entries_that_were_not_sent_is_damaged(place: str) -> None:
    named = answer({"Failed": [{"Id": place, "Code": "InternalError", "SenderFault": False}]})
    messages = [OutgoingMessage(body="x", attributes={}) for _ in range(3)]
    async with queue(named, named, named) as (client, _):
        with pytest.raises(TransientError, match="damaged_in_transit"):
            await client.delete_batch(["a", "b", "c"])
        with pytest.raises(TransientError, match="damaged_in_transit"):
            await client.change_visibility_batch(["a", "b", "c"], 5)
        with pytest.raises(TransientError, match="damaged_in_transit"):
            await client.send_batch(messages)


async def test_a_name_is_looked_up_and_an_account_said() -> None:
    arn = "arn:aws:sqs:eu-west-1:123456789012:orders"
    async with queue(answer({"QueueUrl": "found"}), answer({"Attributes": {"a": "b"}}), address=arn) as (client, sqs):
        assert await client.attributes("a") == {"a": "b"}
    assert sqs.bodies == [
        {"QueueName": "orders", "QueueOwnerAWSAccountId": "123456789012"},
        {"QueueUrl": "found", "AttributeNames": ["a"]},
    ]


@pytest.mark.parametrize(
    ("wire", "kind", "code"),
    [
        (refusal("QueueDoesNotExist"), UnavailableError, "missing"),
        (
            refusal("Other", x_amzn_query_error="AWS.SimpleQueueService.NonExistentQueue;Sender"),
            UnavailableError,
            "missing",
        ),
        (refusal("AccessDeniedException", 403), UnavailableError, "denied"),
        (refusal("KmsDisabled"), UnavailableError, "key_unusable"),
        (refusal("RequestThrottled", 403), TransientError, "throttled"),
        (
            answer({}, 400, x_amzn_errortype="ThrottlingException:http://internal.amazon.com/"),
            TransientError,
            "throttled",
        ),
        (refusal("BatchRequestTooLong"), PermanentError, "too_large"),
        (answer({"__type": "X", "Message": "capital"}, 500), TransientError, "server_error"),
        (answer(b"<html>busy</html>", 503), TransientError, "server_error"),
        (answer(b"", 429), TransientError, "throttled"),
        (answer(b"[]", 404), UnavailableError, "missing"),
        (None, TransientError, "connection"),
    ],
)
async def test_a_refusal_has_the_kind_of_its_reason(wire: bytes | None, kind: type[Exception], code: str) -> None:
    async with queue(wire) as (client, _):
        with pytest.raises(kind) as caught:
            await client.delete_batch(["r"])
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert caught.value.detail.startswith("sqs:DeleteMessage on orders: ")  # type: ignore[attr-defined]


async def test_a_throttle_says_when_to_come_again() -> None:
    async with queue(refusal("ThrottlingException", retry_after="7")) as (client, _):
        with pytest.raises(TransientError) as caught:
            await client.receive(10, hold=60, wait=0)
    assert caught.value.retry_after == 7


async def test_a_lost_answer_is_asked_again_unless_it_sends_messages() -> None:
    sent = [OutgoingMessage(body="x", attributes={})]
    async with queue(OK, None, OK, None, OK, OK, None) as (client, sqs):
        await client.attributes("a")
        await client.delete_batch(["r"])
        await client.change_visibility_batch(["r"], 0)
        await client.send_batch(sent)
        assert [head["x-amz-target"].rpartition(".")[2] for head in sqs.heads] == [
            "GetQueueAttributes",
            *["DeleteMessageBatch"] * 2,
            *["ChangeMessageVisibilityBatch"] * 2,
            "SendMessageBatch",
        ]
        with pytest.raises(TransientError):
            await client.send_batch(sent)
        assert len(sqs.heads) == 7


async def test_the_setting_chooses_the_wire() -> None:
    async with queue() as (_, sqs):
        settings = AwsSettings(region="eu-west-1", endpoint_url=f"http://127.0.0.1:{sqs.server.port}")
        for name, kind in (("native", NativeQueueClient), ("aioboto3", AiobotoQueueClient)):
            async with open_queue(name, QueueAddress.parse(URL), settings) as client:  # type: ignore[arg-type]
                assert type(client) is kind
