"""An answer to a batch that does not name every entry: what it leaves out must not count as sent."""

from __future__ import annotations

from typing import Any, cast

import pytest

from forkstream.aws.aioboto_queue import AiobotoQueueClient
from forkstream.aws.queue import OutgoingMessage
from forkstream.aws.topic import TopicAddress, TopicClient

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

    async def publish_batch(self, **_: Any) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(("answer", "failed"), ANSWERS)
async def test_what_a_topics_answer_leaves_out_failed(answer: dict[str, Any], failed: list[int]) -> None:
    topic = TopicClient(TopicAddress.parse("arn:aws:sns:eu-west-1:000000000000:t"), cast("Any", Client(answer)))
    assert sorted(one.position for one in await topic.publish_batch(MESSAGES)) == failed


@pytest.mark.parametrize(("answer", "failed"), ANSWERS)
async def test_what_a_queues_answer_leaves_out_failed(answer: dict[str, Any], failed: list[int]) -> None:
    client = cast("Any", Client(answer))
    queue = AiobotoQueueClient("q", "http://127.0.0.1/q", client, client)
    assert sorted(one.position for one in await queue.send_batch(MESSAGES)) == failed
