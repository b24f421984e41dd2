from __future__ import annotations

import time
from typing import Any, Literal

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from aiohttp import web

from forkstream.aws.origin import Origin
from forkstream.aws.session import CONNECTIONS
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Attribute, Event
from forkstream.ports import Context, Receipt
from forkstream.settings import AwsSettings
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from tests.integration.both_clients import client

__all__ = ["client"]


@pytest.fixture
def sqs(aws: EmbeddedAws) -> Any:
    return boto3.client("sqs")


@pytest.fixture
def queue(sqs: Any, unique: str) -> str:
    url: str = sqs.create_queue(QueueName=unique)["QueueUrl"]
    return url


def source(queue: str) -> SqsSource:
    return SqsSource(SqsSourceConfig(queue=queue), Context(fork="f"))


async def receive(opened: SqsSource, count: int, *, hold: float = 60) -> list[tuple[Event, Receipt]]:
    """Receive until ``count`` events are there."""
    received: list[tuple[Event, Receipt]] = []
    with anyio.fail_after(60):
        while len(received) < count:
            received += await opened.receive(10, hold=hold, wait=1)
    return received


def send(sqs: Any, queue: str, *bodies: str, **more: Any) -> None:
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body, **more)


async def test_an_event_has_what_the_message_had(sqs: Any, queue: str) -> None:
    before = time.time()
    answer = sqs.send_message(
        QueueUrl=queue,
        MessageBody='{"note": "caf\u00e9 \U0001f600"}',
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "\u20ac"},
            "amount": {"DataType": "Number", "StringValue": "100.50"},
            "count": {"DataType": "Number.int", "StringValue": "7"},
            "tags": {"DataType": "String.Array", "StringValue": '["a", "b"]'},
            "picture": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
        },
    )
    async with source(queue) as opened:
        ((event, _),) = await receive(opened, 1)
        assert opened.damaged == 0
    assert event.body == '{"note": "caf\u00e9 \U0001f600"}'.encode()
    assert event.id == answer["MessageId"]
    assert before - 1 <= event.sent_at <= time.time() + 1
    assert event.receive_count == 1
    assert event.group is None
    assert event.attributes == {
        "text": Attribute("String", "\u20ac"),
        "amount": Attribute("Number", "100.50"),
        "count": Attribute("Number.int", "7"),
        "tags": Attribute("String.Array", '["a", "b"]'),
        "picture": Attribute("Binary.png", b"\x00\xff"),
    }


async def test_the_queue_goes_by_name_url_or_arn(sqs: Any, queue: str, unique: str) -> None:
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for spelling in (unique, queue, arn):
        send(sqs, queue, spelling)
        async with source(spelling) as opened:
            ((event, receipt),) = await receive(opened, 1)
            await opened.delete([receipt])
        assert event.body == spelling.encode()


async def test_nothing_waiting_is_an_empty_answer(queue: str) -> None:
    async with source(queue) as opened:
        assert list(await opened.receive(10, hold=60, wait=0.9)) == []


async def test_no_more_than_the_limit_come(sqs: Any, queue: str) -> None:
    send(sqs, queue, *"abcde")
    async with source(queue) as opened:
        assert len(await opened.receive(2, hold=60, wait=1)) <= 2
        assert len(await receive(opened, 3)) == 3


async def test_a_receive_brings_ten_at_most(sqs: Any, queue: str) -> None:
    send(sqs, queue, *"abcdefghijkl")
    async with source(queue) as opened:
        assert 1 <= len(await opened.receive(1000, hold=60, wait=1)) <= 10


async def test_held_events_stay_hidden_and_released_ones_come_again(sqs: Any, queue: str) -> None:
    send(sqs, queue, *"abcdefghijkl")
    async with source(queue) as opened:
        received = await receive(opened, 12)
        assert list(await opened.receive(10, hold=60, wait=0)) == []
        assert await opened.backlog() == (await opened.backlog())
        released = [receipt for _, receipt in received[:11]]
        assert list(await opened.hold(released, 0)) == []
        again = await receive(opened, 11)
        assert {event.id for event, _ in again} == {event.id for event, _ in received[:11]}
        assert {event.receive_count for event, _ in again} == {2}


async def test_deleted_events_are_gone_however_many(sqs: Any, queue: str) -> None:
    send(sqs, queue, *map(str, range(25)))
    async with source(queue) as opened:
        received = await receive(opened, 25)
        assert list(await opened.delete([receipt for _, receipt in received])) == []
        backlog = await opened.backlog()
    assert (backlog.ready, backlog.in_flight) == (0, 0)


async def test_what_waits_and_what_is_held_is_estimated(sqs: Any, queue: str) -> None:
    send(sqs, queue, *"abc")
    async with source(queue) as opened:
        await opened.receive(1, hold=60, wait=1)
        backlog = await opened.backlog()
    assert (backlog.ready, backlog.in_flight) == (2, 1)


async def test_a_receipt_whose_hold_ran_out_is_lost(sqs: Any, queue: str) -> None:
    send(sqs, queue, "a", "b")
    async with source(queue) as opened:
        received = await receive(opened, 2)
        stale = received[0][1]
        await opened.hold([stale], 0)
        await receive(opened, 1)
        for refusals in (await opened.hold([stale], 60), await opened.delete([stale, received[1][1]])):
            ((refusal),) = refusals
            assert (refusal.receipt, refusal.lost, refusal.code) == (stale, True, "expired")


async def test_no_receipts_need_no_call(queue: str) -> None:
    async with source(queue) as opened:
        assert list(await opened.delete([])) == []
        assert list(await opened.hold([], 5)) == []


async def test_an_event_that_was_sent_before_keeps_its_first_id_and_time(sqs: Any, queue: str) -> None:
    mark = Origin("first-id", 1335920046.655).mark({})["forkstream.origin"]
    send(
        sqs,
        queue,
        "again",
        MessageAttributes={
            "forkstream.origin": {"DataType": "String", "StringValue": mark.value},
            "amount": {"DataType": "Number", "StringValue": "1"},
        },
    )
    async with source(queue) as opened:
        ((event, _),) = await receive(opened, 1)
    assert (event.id, event.sent_at) == ("first-id", 1335920046.655)
    assert event.attributes == {"amount": Attribute("Number", "1")}


async def test_an_origin_that_is_not_ours_stays_an_attribute(sqs: Any, queue: str) -> None:
    foreign = {"forkstream.origin": {"DataType": "String", "StringValue": "somewhere"}}
    send(sqs, queue, "x", MessageAttributes=foreign)
    async with source(queue) as opened:
        ((event, _),) = await receive(opened, 1)
    assert event.attributes == {"forkstream.origin": Attribute("String", "somewhere")}


async def test_a_fifo_queue_is_an_ordered_source(sqs: Any, unique: str) -> None:
    name = f"{unique}.fifo"
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number, group in enumerate("abab"):
        send(sqs, url, str(number), MessageGroupId=group, MessageDeduplicationId=str(number))
    fifo = source(name)
    assert fifo.ordered
    async with fifo as opened:
        received = await receive(opened, 4)
    assert [(event.body, event.group) for event, _ in received if event.group == "a"] == [(b"0", "a"), (b"2", "a")]
    assert [(event.body, event.group) for event, _ in received if event.group == "b"] == [(b"1", "b"), (b"3", "b")]


def test_a_standard_queue_is_not_ordered() -> None:
    assert not source("orders").ordered


@pytest.mark.parametrize("envelope", ["auto", "raw"])
async def test_a_missing_queue_makes_the_source_unavailable(
    aws: EmbeddedAws, unique: str, envelope: Literal["auto", "raw"]
) -> None:
    url = f"{aws.endpoint_url}/000000000000/{unique}"
    for spelling, action in ((unique, "sqs:GetQueueUrl"), (url, "sqs:GetQueueAttributes")):
        missing = SqsSource(SqsSourceConfig(queue=spelling, envelope=envelope), Context(fork="f"))
        for ask in (missing.__aenter__, missing.check):
            with pytest.raises(UnavailableError) as caught:
                await ask()
            assert caught.value.code == "missing"
            assert caught.value.detail.startswith(f"{action} on {unique}: ")


async def test_a_source_that_could_not_open_opens_once_the_queue_is_there(
    sqs: Any, aws: EmbeddedAws, unique: str
) -> None:
    late = source(unique)
    with pytest.raises(UnavailableError):
        await late.__aenter__()
    send(sqs, sqs.create_queue(QueueName=unique)["QueueUrl"], "x")
    await late.check()
    async with late as opened:
        assert len(await receive(opened, 1)) == 1


async def test_a_server_that_is_down_is_a_lost_connection(queue: str, unused_tcp_port: int) -> None:
    settings = AwsSettings(endpoint_url=f"http://127.0.0.1:{unused_tcp_port}")
    down = SqsSource(SqsSourceConfig(queue=queue, aws=settings), Context(fork="f"))
    with pytest.raises(Exception, match="connection"):
        await down.check()


async def test_a_delete_never_waits_behind_long_polls(aws: EmbeddedAws) -> None:
    polling, full = 0, anyio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal polling
        if request.headers["X-Amz-Target"] == "AmazonSQS.ReceiveMessage":
            polling += 1
            if polling == CONNECTIONS:
                full.set()
            await anyio.sleep_forever()
        return web.json_response({"Attributes": {}})

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = AwsSettings(endpoint_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    config = SqsSourceConfig(queue="https://sqs/1/orders", envelope="raw", aws=settings)
    async with SqsSource(config, Context(fork="f")) as opened, anyio.create_task_group() as polls:
        for _ in range(CONNECTIONS + 10):
            polls.start_soon(lambda: opened.receive(10, hold=60, wait=20))
        with anyio.fail_after(60):
            await full.wait()
            assert list(await opened.delete(["r"])) == []
        polls.cancel_scope.cancel()
    await runner.cleanup()


def test_a_queue_that_is_none_is_a_config_error() -> None:
    with pytest.raises(ValueError, match="expected a queue's name, URL or ARN"):
        source("no such spelling")
