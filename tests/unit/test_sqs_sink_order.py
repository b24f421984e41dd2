"""Contract 11 at a FIFO queue: once an event of a group failed, no later one of that group takes effect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.aws.queue import EntryFailure, OutgoingMessage, QueueClient
from forkstream.errors import TransientError
from forkstream.event import Event, FailureKind
from forkstream.ports import Context
from forkstream.sinks.sqs import SqsSink, SqsSinkConfig
from tests.fake_queue import FakeQueue


class RefusingQueue(FakeQueue):
    """Takes what it gets in the order of the calls, but the bodies that it was told to refuse."""

    def __init__(self, refused: Collection[str]) -> None:
        super().__init__()
        self.refused = refused
        self.taken: list[tuple[str | None, str]] = []

    async def send_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        self.sent.append(list(messages))
        self.taken += [(message.group, message.body) for message in messages if message.body not in self.refused]
        return [
            EntryFailure(place, "InternalError", False)
            for place, message in enumerate(messages)
            if message.body in self.refused
        ]


class FakeSink(SqsSink):
    def __init__(self, fake: FakeQueue) -> None:
        super().__init__(SqsSinkConfig(queue="orders.fifo"), Context(fork="f", run="r"))
        self.fake = fake

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        return self.fake.open()


@given(st.lists(st.sampled_from("abcdefghijkl")), st.sets(st.integers(0, 20)))
async def test_what_takes_effect_of_a_group_is_what_stands_before_its_first_failure(
    groups: list[str], refused: set[int]
) -> None:
    events = [Event(b"%d" % n, id=str(n), group=group) for n, group in enumerate(groups)]
    fake = RefusingQueue({str(number) for number in refused})
    async with FakeSink(fake) as sink:
        failures = await sink.write(events)
    failed = {failure.event: failure.code for failure in failures}
    for name in set(groups):
        group = [event for event in events if event.group == name]
        first = next((place for place, event in enumerate(group) if int(event.id) in refused), len(group))
        assert [body for owner, body in fake.taken if owner == name] == [event.id for event in group[:first]]
        expected = ["server_error"] + ["behind"] * len(group)
        assert [failed.get(event) for event in group[first:]] == expected[: len(group) - first]
        assert not failed.keys() & set(group[:first])
    for batch in fake.sent:
        assert len({message.group for message in batch}) == len(batch) <= 10


async def test_a_permanent_failure_keeps_the_later_ones_back_too() -> None:
    fake = FakeQueue()
    bad, later, other = Event(b"", id="1", group="a"), Event(b"x", id="2", group="a"), Event(b"y", id="3", group="b")
    async with FakeSink(fake) as sink:
        failures = await sink.write([bad, later, other])
    assert [(failure.event, failure.kind, failure.code) for failure in failures] == [
        (bad, FailureKind.PERMANENT, "empty_body"),
        (later, FailureKind.TRANSIENT, "behind"),
    ]
    assert [[message.body for message in batch] for batch in fake.sent] == [["y"]]


async def test_a_call_that_failed_keeps_every_groups_later_ones_back() -> None:
    fake = FakeQueue((), TransientError("timeout"))
    async with FakeSink(fake) as sink:
        failures = await sink.write([Event(b"%d" % n, id=str(n), group="a") for n in range(4)])
    assert [failure.code for failure in failures] == ["timeout", "behind", "behind"]
    assert len(fake.sent) == 2


async def test_when_nothing_went_through_the_calls_error_is_raised() -> None:
    async with FakeSink(FakeQueue(TransientError("timeout"))) as sink:
        with pytest.raises(TransientError):
            await sink.write([Event(b"%d" % n, id=str(n), group="a") for n in range(4)])


async def test_a_deduplication_id_is_of_the_origin_id_and_the_run() -> None:
    ids = []
    for identity, body, run in (("1", b"x", "r"), ("1", b"y", "r"), ("2", b"x", "r"), ("1", b"x", "s")):
        fake = FakeQueue()
        sink = FakeSink(fake)
        sink.context = Context(fork="f", run=run)
        async with sink:
            await sink.write([Event(body, id=identity, group="a")])
        ids.append(fake.sent[0][0].deduplication_id or "")
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(one) <= 128 and one.isalnum() for one in ids)
