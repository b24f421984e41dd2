"""An answer to a batch that does not name every entry: what it leaves out must not count as sent."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest

from forkstream.aws.aioboto_queue import AiobotoQueueClient
from forkstream.aws.queue import OutgoingMessage
from forkstream.aws.topic import TopicAddress, TopicClient
from forkstream.errors import TransientError

MESSAGES = [OutgoingMessage(body="x", attributes={}) for _ in range(3)]
ANSWERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2]),
    ({"Successful": [{"Id": "0"}, {"Id": "2"}]}, [1]),
    ({"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}]}, [1, 2]),
    ({"Successful": [{"Id": "0"}, {"Id": "1"}, {"Id": "2"}]}, []),
]


class Client:
    """Gives the same answer to each call of a batch."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    async def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return self._answer

    async def delete_message_batch(self, **_: Any) -> dict[str, Any]:
        return self._answer

    async def change_message_visibility_batch(self, **_: Any) -> dict[str, Any]:
        return self._answer

    async def receive_message(self, **_: Any) -> dict[str, Any]:
        return self._answer

    async def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return self._answer

    async def publish_batch(self, **_: Any) -> dict[str, Any]:
        return self._answer


DAMAGED: list[dict[str, Any]] = [
    {"Failed": [{"Id": "3", "Code": "InternalError"}]},  # of three that were sent, this one was not
    {"Failed": [{"Id": "-1", "Code": "InternalError"}]},
    {"Failed": [{"Id": "x", "Code": "InternalError"}]},
    {"Failed": [{"Code": "InternalError"}]},
    {"Successful": [{"Id": "x"}]},
]


@pytest.mark.parametrize(("answer", "failed"), ANSWERS)
async def test_what_a_topics_answer_leaves_out_failed(answer: dict[str, Any], failed: list[int]) -> None:
    topic = TopicClient(TopicAddress.parse("arn:aws:sns:eu-west-1:000000000000:t"), cast("Any", Client(answer)))
    assert sorted(one.position for one in await topic.publish_batch(MESSAGES)) == failed


@pytest.mark.parametrize(("answer", "failed"), ANSWERS)
async def test_what_a_queues_answer_leaves_out_failed(answer: dict[str, Any], failed: list[int]) -> None:
    client = cast("Any", Client(answer))
    queue = AiobotoQueueClient("q", "http://127.0.0.1/q", client, client)
    assert sorted(one.position for one in await queue.send_batch(MESSAGES)) == failed


@pytest.mark.parametrize("answer", DAMAGED)
async def test_an_answer_about_what_was_not_sent_is_damaged(answer: dict[str, Any]) -> None:
    client = cast("Any", Client(answer))
    topic = TopicClient(TopicAddress.parse("arn:aws:sns:eu-west-1:000000000000:t"), client)
    queue = AiobotoQueueClient("q", "http://127.0.0.1/q", client, client)
    asked = [
        partial(topic.publish_batch, MESSAGES),
        partial(queue.send_batch, MESSAGES),
        partial(queue.delete_batch, ["r"] * 3),
        partial(queue.change_visibility_batch, ["r"] * 3, 1),
    ]
    for ask in asked[: 2 if "Successful" in answer else 4]:
        with pytest.raises(TransientError) as caught:
            await ask()
        assert caught.value.code == "damaged_in_transit"


@pytest.mark.parametrize(
    "message",
    [
        {"MessageId": "1", "ReceiptHandle": "r", "Body": "x"},
        {"MessageId": "1", "ReceiptHandle": "r", "Body": "x", "MD5OfBody": "0", "Attributes": {"SentTimestamp": "now"}},
        {"MessageId": "1", "ReceiptHandle": "r", "Body": "x", "MD5OfBody": "0", "MessageAttributes": {"a": {}}},
    ],
)
async def test_a_message_without_what_sqs_gives_each_is_damaged(message: dict[str, Any]) -> None:
    client = cast("Any", Client({"Messages": [message]}))
    with pytest.raises(TransientError) as caught:
        await AiobotoQueueClient("q", "http://127.0.0.1/q", client, client).receive(1, hold=1, wait=0)
    assert caught.value.code == "damaged_in_transit"


async def test_a_page_that_a_proxy_puts_in_place_of_an_answer_is_none() -> None:
    """The SDK makes an empty answer of it: an empty queue, and a batch of which nothing failed."""
    client = cast("Any", Client({"ResponseMetadata": {"HTTPHeaders": {"content-type": "text/html; charset=utf-8"}}}))
    queue = AiobotoQueueClient("q", "http://127.0.0.1/q", client, client)
    for ask in (
        partial(queue.receive, 1, hold=1, wait=0),
        partial(queue.delete_batch, ["r"]),
        partial(queue.change_visibility_batch, ["r"], 1),
        partial(queue.attributes, "QueueArn"),
    ):
        with pytest.raises(TransientError) as caught:
            await ask()
        assert caught.value.code == "damaged_in_transit"
