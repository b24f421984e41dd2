"""What the embedded SNS cannot be brought to: refused entries and requests, order after them, what is on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.aws.message_limits import checked_size
from forkstream.aws.queue import EntryFailure, OutgoingMessage
from forkstream.aws.topic import MAX_BYTES, TopicAddress, TopicClient
from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Attribute, Event, Failure, FailureKind
from forkstream.ports import Context
from forkstream.sinks.sns import SnsSink, SnsSinkConfig

TOPIC = "arn:aws:sns:eu-west-1:123456789012:orders"
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
Outcome = Collection[EntryFailure] | Exception


class FakeTopic(TopicClient):
    """Each batch takes the next of ``outcomes``; bodies in ``refused`` fail as entries, those in ``spoiling`` as requests."""

    def __init__(self, *outcomes: Outcome, refused: Collection[str] = (), spoiling: Collection[str] = ()) -> None:
        self.outcomes = list(outcomes)
        self.refused = refused
        self.spoiling = spoiling
        self.sent: list[list[OutgoingMessage]] = []

    async def publish_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        self.sent.append(list(messages))
        if any(message.body in self.spoiling for message in messages):
            raise PermanentError("rejected", "one of them")
        outcome = self.outcomes.pop(0) if self.outcomes else ()
        if isinstance(outcome, Exception):
            raise outcome
        return [
            *outcome,
            *(EntryFailure(n, "InternalError", False) for n, one in enumerate(messages) if one.body in self.refused),
        ]


class FakeSink(SnsSink):
    def __init__(self, fake: FakeTopic, topic: str = TOPIC) -> None:
        super().__init__(SnsSinkConfig(topic=topic), Context(fork="f", run="r"))
        self.fake = fake

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[TopicClient]:
        yield self.fake


def events(*bodies: str) -> list[Event]:
    return [Event(body.encode(), id=f"{number}") for number, body in enumerate(bodies)]


def seen(failures: Collection[Failure]) -> list[tuple[str, FailureKind, str]]:
    return [(failure.event.body.decode(), failure.kind, failure.code) for failure in failures]


@pytest.mark.parametrize(
    ("entry", "kind", "code"),
    [
        (EntryFailure(1, "InvalidParameter", True, "why"), PERMANENT, "rejected"),
        (EntryFailure(1, "InternalError", False, "why"), TRANSIENT, "server_error"),
        (EntryFailure(1, "Throttled", True, "why"), TRANSIENT, "throttled"),
        (EntryFailure(1, "KMSDisabled", True, "why"), TRANSIENT, "key_unusable"),
    ],
)
async def test_a_refused_entry_is_its_events_failure(entry: EntryFailure, kind: FailureKind, code: str) -> None:
    async with FakeSink(FakeTopic([entry])) as sink:
        (failure,) = await sink.write(events("a", "b", "c"))
    assert seen([failure]) == [("b", kind, code)]
    assert failure.detail == f"{entry.name}: why"


async def test_a_topic_that_refuses_every_entry_is_unavailable() -> None:
    fake = FakeTopic([EntryFailure(place, "KMSDisabled", True) for place in range(3)])
    async with FakeSink(fake) as sink:
        with pytest.raises(UnavailableError) as caught:
            await sink.write(events("a", "b", "c"))
    assert (caught.value.code, caught.value.detail) == ("key_unusable", "sns:Publish on orders: KMSDisabled")


async def test_when_nothing_went_through_the_calls_error_is_raised() -> None:
    async with FakeSink(FakeTopic(TransientError("timeout"), UnavailableError("denied"))) as sink:
        with pytest.raises(UnavailableError):
            await sink.write(events(*map(str, range(20))))


async def test_a_call_that_failed_beside_others_fails_its_own_events_only() -> None:
    fake = FakeTopic((), UnavailableError("denied"), ())
    async with FakeSink(fake) as sink:
        failures = await sink.write(events(*map(str, range(25))))
    assert seen(failures) == [(message.body, TRANSIENT, "denied") for message in fake.sent[1]]


async def test_a_message_that_spoils_its_whole_request_is_singled_out_and_the_rest_sent_once() -> None:
    fake = FakeTopic(spoiling={"bad"})
    async with FakeSink(fake) as sink:
        failures = await sink.write(events(*"abcd", "bad", *"efghi"))
    assert seen(failures) == [("bad", PERMANENT, "rejected")]
    sent = [one.body for batch in fake.sent if "bad" not in [each.body for each in batch] for one in batch]
    assert sorted(sent) == list("abcdefghi")


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Event(b"", id="1"), "empty_body"),
        (Event(b"\xff", id="1"), "not_text"),
        (Event(b"x" * MAX_BYTES, id="1"), "too_large"),
        (Event(b"x", id="1", attributes={f"a{n}": Attribute("String", "x") for n in range(10)}), "too_many_attributes"),
    ],
)
async def test_what_sns_would_refuse_or_lose_is_not_sent(event: Event, code: str) -> None:
    fake = FakeTopic()
    async with FakeSink(fake) as sink:
        (failure,) = await sink.write([event, *events("x")])
    assert (failure.event, failure.kind, failure.code) == (event, PERMANENT, code)
    assert [[message.body for message in batch] for batch in fake.sent] == [["x"]]


@given(st.lists(st.integers(1, MAX_BYTES - 100), max_size=40))
async def test_no_request_has_more_than_ten_messages_or_256_kibibytes(sizes: list[int]) -> None:
    fake = FakeTopic()
    async with FakeSink(fake) as sink:
        assert not await sink.write([Event(b"x" * size, id=str(n)) for n, size in enumerate(sizes)])
    assert [len(message.body) for batch in fake.sent for message in batch] == sizes
    for batch in fake.sent:
        assert len(batch) <= 10
        assert sum(map(checked_size, batch)) <= MAX_BYTES


@given(st.lists(st.sampled_from("abcdefghijkl")), st.sets(st.integers(0, 20)))
async def test_at_a_fifo_topic_what_takes_effect_of_a_group_is_what_stands_before_its_first_failure(
    groups: list[str], refused: set[int]
) -> None:
    given_ = [Event(b"%d" % n, id=str(n), group=group) for n, group in enumerate(groups)]
    fake = FakeTopic(refused={str(number) for number in refused})
    async with FakeSink(fake, f"{TOPIC}.fifo") as sink:
        failures = await sink.write(given_)
    failed = {failure.event: failure.code for failure in failures}
    taken = [one for batch in fake.sent for one in batch if one.body not in fake.refused]
    for name in set(groups):
        group = [event for event in given_ if event.group == name]
        first = next((place for place, event in enumerate(group) if int(event.id) in refused), len(group))
        assert [one.body for one in taken if one.group == name] == [event.id for event in group[:first]]
        expected = ["server_error"] + ["behind"] * len(group)
        assert [failed.get(event) for event in group[first:]] == expected[: len(group) - first]
    assert all(len({one.group for one in batch}) == len(batch) for batch in fake.sent)


class FakeBoto:
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    async def publish_batch(self, **arguments: Any) -> dict[str, Any]:
        self.asked = arguments
        return self.answer


async def test_the_wire_has_every_type_of_attribute_and_reads_every_refusal() -> None:
    boto: Any = FakeBoto({"Failed": [{"Id": "0", "Code": "X", "SenderFault": True}]})
    attributes = {"t": Attribute("String", "x"), "n": Attribute("Number", "1"), "b": Attribute("Binary", b"\xff")}
    message = OutgoingMessage(body="m", attributes=attributes, group="g", deduplication_id="d")
    refused = await TopicClient(TopicAddress.parse(TOPIC), boto).publish_batch([message])
    assert list(refused) == [EntryFailure(0, "X", True, "")]
    assert boto.asked == {
        "TopicArn": TOPIC,
        "PublishBatchRequestEntries": [
            {
                "Id": "0",
                "Message": "m",
                "MessageAttributes": {
                    "t": {"DataType": "String", "StringValue": "x"},
                    "n": {"DataType": "Number", "StringValue": "1"},
                    "b": {"DataType": "Binary", "BinaryValue": b"\xff"},
                },
                "MessageGroupId": "g",
                "MessageDeduplicationId": "d",
            }
        ],
    }
