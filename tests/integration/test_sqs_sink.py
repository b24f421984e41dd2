from __future__ import annotations

from typing import Any

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Attribute, Event, FailureKind
from forkstream.ports import Context
from forkstream.sinks.sqs import SqsSink, SqsSinkConfig
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from tests.integration.both_clients import client

__all__ = ["client"]

EVERY_TYPE = {
    "text": Attribute("String", "\u20ac"),
    "amount": Attribute("Number", "100.50"),
    "count": Attribute("Number.int", "7"),
    "tags": Attribute("String.Array", '["a", "b"]'),
    "picture": Attribute("Binary.png", b"\x00\xff"),
}


@pytest.fixture
def sqs(aws: EmbeddedAws) -> Any:
    return boto3.client("sqs")


@pytest.fixture
def queue(sqs: Any, unique: str) -> str:
    sqs.create_queue(QueueName=unique)
    return unique


def sink(queue: str, *, run: str = "run", group: str | None = None) -> SqsSink:
    return SqsSink(SqsSinkConfig(queue=queue, group=group), Context(fork="f", run=run))


async def received(queue: str, count: int) -> list[Event]:
    """What stands in the queue, received by the source and deleted."""
    events: list[Event] = []
    async with SqsSource(SqsSourceConfig(queue=queue), Context(fork="f")) as source:
        with anyio.fail_after(60):
            while len(events) < count:
                some = await source.receive(10, hold=60, wait=1)
                await source.delete([receipt for _, receipt in some])
                events += [event for event, _ in some]
        assert list(await source.receive(10, hold=60, wait=0)) == []
    return events


async def test_an_event_arrives_with_attributes_of_every_type_and_its_first_id_and_time(queue: str) -> None:
    body = '{"note": "caf\u00e9 \U0001f600"}'.encode()
    async with sink(queue) as opened:
        assert (
            list(await opened.write([Event(body, id="first-id", sent_at=1335920046.655, attributes=EVERY_TYPE)])) == []
        )
    (event,) = await received(queue, 1)
    assert (event.body, event.id, event.sent_at) == (body, "first-id", 1335920046.655)
    assert event.attributes == EVERY_TYPE


async def test_a_second_hop_keeps_the_first_id_too(queue: str) -> None:
    async with sink(queue) as opened:
        await opened.write([Event(b"x", id="first-id", sent_at=1.0)])
        await opened.write(await received(queue, 1))
    assert [event.id for event in await received(queue, 1)] == ["first-id"]


async def test_events_beyond_ten_go_in_several_calls(queue: str) -> None:
    async with sink(queue) as opened:
        assert list(await opened.write([Event(b"%d" % n, id=str(n)) for n in range(47)])) == []
    assert sorted(int(event.body) for event in await received(queue, 47)) == list(range(47))


async def test_the_queue_goes_by_name_url_or_arn(sqs: Any, queue: str) -> None:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for spelling in (queue, url, arn):
        async with sink(spelling) as opened:
            await opened.check()
            await opened.write([Event(spelling.encode(), id="1")])
    assert {event.body.decode() for event in await received(queue, 3)} == {queue, url, arn}


async def test_an_event_that_the_queue_refuses_fails_alone(sqs: Any, unique: str) -> None:
    sqs.create_queue(QueueName=unique, Attributes={"MaximumMessageSize": "1024"})
    large = Event(b"x" * 2000, id="large")
    async with sink(unique) as opened:
        (failure,) = await opened.write([Event(b"a", id="a"), large, Event(b"b", id="b")])
    assert (failure.event, failure.kind, failure.code) == (large, FailureKind.PERMANENT, "rejected")
    assert {event.id for event in await received(unique, 2)} == {"a", "b"}


async def test_a_missing_queue_makes_the_sink_unavailable(aws: EmbeddedAws, unique: str) -> None:
    missing = sink(unique)
    for ask in (missing.__aenter__, missing.check):
        with pytest.raises(UnavailableError) as caught:
            await ask()
        assert caught.value.detail.startswith(f"sqs:GetQueueUrl on {unique}: ")


async def test_a_queue_that_went_away_makes_the_sink_unavailable(sqs: Any, queue: str) -> None:
    async with sink(queue) as opened:
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
        with pytest.raises(UnavailableError) as caught:
            await opened.write([Event(b"x", id="1")])
    assert caught.value.code == "missing"


@pytest.fixture
def fifo(sqs: Any, unique: str) -> str:
    name = f"{unique}.fifo"
    sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    return name


async def test_a_fifo_queue_keeps_the_order_of_every_group(fifo: str) -> None:
    events = [Event(b"%d" % n, id=str(n), group="abc"[n % 3]) for n in range(30)]
    async with sink(fifo) as opened:
        assert opened.ordered
        assert list(await opened.write(events)) == []
    arrived = await received(fifo, 30)
    for group in "abc":
        assert [e.body for e in arrived if e.group == group] == [e.body for e in events if e.group == group]


async def test_on_a_fifo_queue_a_repeat_of_the_same_run_is_dropped_and_a_later_runs_replay_is_not(fifo: str) -> None:
    for run in ("one", "one", "two"):
        async with sink(fifo, run=run) as opened:
            await opened.write([Event(b"x", id="1", group="g")])
    assert [event.id for event in await received(fifo, 2)] == ["1", "1"]


async def test_an_event_without_a_group_is_a_group_of_its_own(fifo: str) -> None:
    async with sink(fifo) as opened:
        await opened.write([Event(b"x", id="an id with spaces"), Event(b"x", id="plain")])
    groups = {event.id: event.group for event in await received(fifo, 2)}
    assert groups["plain"] == "plain"
    assert len(groups["an id with spaces"] or "") == 64


async def test_a_configured_group_is_everyones(fifo: str) -> None:
    async with sink(fifo, group="all") as opened:
        await opened.write([Event(b"%d" % n, id=str(n), group=str(n)) for n in range(5)])
    arrived = await received(fifo, 5)
    assert {event.group for event in arrived} == {"all"}
    assert [event.id for event in arrived] == list("01234")


def test_a_group_for_a_standard_queue_is_a_config_error() -> None:
    with pytest.raises(ValueError, match="only a FIFO queue has groups"):
        sink("orders", group="all")


def test_a_standard_queue_is_not_ordered() -> None:
    assert not sink("orders").ordered
