from __future__ import annotations

import json
from typing import Any

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Attribute, Event, FailureKind
from forkstream.ports import Context
from forkstream.sinks.sns import SnsSink, SnsSinkConfig
from forkstream.sources.sqs import SqsSource, SqsSourceConfig

EVERY_TYPE = {
    "text": Attribute("String", "\u20ac"),
    "amount": Attribute("Number", "100.50"),
    "tags": Attribute("String.Array", '["a", "b"]'),
    "picture": Attribute("Binary", b"\x00\xff"),
}


@pytest.fixture
def topic(aws: EmbeddedAws, unique: str) -> str:
    """A topic, and a queue of the same name that gets all of it raw."""
    return made(unique)


@pytest.fixture
def fifo(aws: EmbeddedAws, unique: str) -> str:
    return made(f"{unique}.fifo", FifoTopic="true")


def made(name: str, policy: dict[str, Any] | None = None, **attributes: str) -> str:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    arn = str(sns.create_topic(Name=name, Attributes=attributes)["TopicArn"])
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if attributes else {})["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = {"RawMessageDelivery": "true", **({"FilterPolicy": json.dumps(policy)} if policy else {})}
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes=subscription)
    return arn


def sink(topic: str, *, run: str = "run", group: str | None = None) -> SnsSink:
    return SnsSink(SnsSinkConfig(topic=topic, group=group), Context(fork="f", run=run))


async def received(topic: str, count: int) -> list[Event]:
    """What the topic's queue got, received by the source and deleted."""
    events: list[Event] = []
    config = SqsSourceConfig(queue=topic.rpartition(":")[2], envelope="raw")
    async with SqsSource(config, Context(fork="f")) as source:
        with anyio.fail_after(60):
            while len(events) < count:
                some = await source.receive(10, hold=60, wait=1)
                await source.delete([receipt for _, receipt in some])
                events += [event for event, _ in some]
        assert list(await source.receive(10, hold=60, wait=0)) == []
    return events


async def test_an_event_arrives_with_its_attributes_and_its_first_id_and_time(topic: str) -> None:
    body = '{"note": "caf\u00e9 \U0001f600"}'.encode()
    # the embedded SNS has no binary values; the wire's own test has them
    attributes = {name: value for name, value in EVERY_TYPE.items() if name != "picture"}
    async with sink(topic) as opened:
        assert not await opened.write([Event(body, id="first-id", sent_at=1335920046.655, attributes=attributes)])
    (event,) = await received(topic, 1)
    assert (event.body, event.id, event.sent_at) == (body, "first-id", 1335920046.655)
    assert event.attributes == attributes


async def test_a_filter_policy_reads_the_attributes(aws: EmbeddedAws, unique: str) -> None:
    topic = made(unique, {"amount": [{"numeric": [">=", 100]}]})
    async with sink(topic) as opened:
        await opened.write(
            [Event(b"x", id=amount, attributes={"amount": Attribute("Number", amount)}) for amount in ("99", "100")]
        )
    assert [event.id for event in await received(topic, 1)] == ["100"]


async def test_events_beyond_ten_go_in_several_calls(topic: str) -> None:
    async with sink(topic) as opened:
        assert not await opened.write([Event(b"%d" % number, id=str(number)) for number in range(47)])
    assert sorted(int(event.body) for event in await received(topic, 47)) == list(range(47))


async def test_what_is_too_large_or_no_text_fails_alone(topic: str) -> None:
    large, binary = Event(b"x" * 262_144, id="large"), Event(b"\xff", id="binary")
    async with sink(topic) as opened:
        failures = await opened.write([Event(b"a", id="a"), large, binary, Event(b"b", id="b")])
    assert [(failure.event, failure.kind, failure.code) for failure in failures] == [
        (large, FailureKind.PERMANENT, "too_large"),
        (binary, FailureKind.PERMANENT, "not_text"),
    ]
    assert {event.id for event in await received(topic, 2)} == {"a", "b"}


async def test_a_fifo_topic_keeps_the_order_of_every_group(fifo: str) -> None:
    events = [Event(b"%d" % number, id=str(number), group="abc"[number % 3]) for number in range(12)]
    async with sink(fifo) as opened:
        assert opened.ordered
        assert not await opened.write(events)
    arrived = await received(fifo, 12)
    for group in "abc":
        assert [e.body for e in arrived if e.group == group] == [e.body for e in events if e.group == group]


async def test_at_a_fifo_topic_a_repeat_of_the_same_run_is_dropped_and_a_later_runs_replay_is_not(fifo: str) -> None:
    for run in ("one", "one", "two"):
        async with sink(fifo, run=run, group="g") as opened:
            await opened.write([Event(b"x", id="1")])
    assert [(event.id, event.group) for event in await received(fifo, 2)] == [("1", "g"), ("1", "g")]


async def test_a_check_finds_the_topic_or_says_what_is_missing(topic: str) -> None:
    await sink(topic).check()
    missing = f"{topic}-x"
    with pytest.raises(UnavailableError) as caught:
        await sink(missing).check()
    assert (caught.value.code, caught.value.detail.split(":")[:2]) == (
        "missing",
        ["sns", f"GetTopicAttributes on {missing.rpartition(':')[2]}"],
    )
    async with sink(missing) as opened:
        with pytest.raises(UnavailableError):
            await opened.write([Event(b"x", id="1")])


@pytest.mark.parametrize(
    "topic", ["orders", "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:sns:eu-west-1:1:orders", ""]
)
def test_a_topic_is_named_by_its_arn(topic: str) -> None:
    with pytest.raises(ValueError, match="expected the ARN of an SNS topic"):
        sink(topic)


def test_only_a_fifo_topic_has_groups_and_an_order() -> None:
    arn = "arn:aws:sns:eu-west-1:123456789012:orders"
    with pytest.raises(ValueError, match="only a FIFO topic has groups"):
        sink(arn, group="g")
    assert not sink(arn).ordered
    assert sink(f"{arn}.fifo", group="g").ordered
