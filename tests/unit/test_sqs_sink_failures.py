from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.aws.message_limits import MAX_BYTES, checked_size
from forkstream.aws.queue import EntryFailure, OutgoingMessage, QueueClient
from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Attribute, Event, Failure, FailureKind
from forkstream.ports import Context
from forkstream.sinks.sqs import SqsSink, SqsSinkConfig
from tests.fake_queue import FakeQueue

TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT


class FakeSink(SqsSink):
    def __init__(self, fake: FakeQueue, queue: str = "orders") -> None:
        super().__init__(SqsSinkConfig(queue=queue), Context(fork="f"))
        self.fake = fake

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        return self.fake.open()


class PickyQueue(FakeQueue):
    """Refuses every request, as a whole, that has a message which it does not like."""

    async def send_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        self.sent.append(list(messages))
        if any(message.body == "bad" for message in messages):
            raise PermanentError("rejected", "one of them")
        return ()


def events(*bodies: str, group: str | None = None) -> list[Event]:
    return [Event(body.encode(), id=f"{number}", group=group) for number, body in enumerate(bodies)]


def seen(failures: Collection[Failure]) -> list[tuple[str, FailureKind, str]]:
    return [(failure.event.body.decode(), failure.kind, failure.code) for failure in failures]


@pytest.mark.parametrize(
    ("entry", "kind", "code"),
    [
        (EntryFailure(1, "InvalidParameterValue", True, "why"), PERMANENT, "rejected"),
        (EntryFailure(1, "InternalError", False, "why"), TRANSIENT, "server_error"),
        (EntryFailure(1, "RequestThrottled", True, "why"), TRANSIENT, "throttled"),
        (EntryFailure(1, "KmsDisabled", True, "why"), TRANSIENT, "key_unusable"),
    ],
)
async def test_a_refused_entry_is_its_events_failure(entry: EntryFailure, kind: FailureKind, code: str) -> None:
    async with FakeSink(FakeQueue([entry])) as sink:
        (failure,) = await sink.write(events("a", "b", "c"))
    assert seen([failure]) == [("b", kind, code)]
    assert failure.detail == f"{entry.name}: why"


async def test_a_destination_that_refuses_every_entry_is_unavailable() -> None:
    fake = FakeQueue([EntryFailure(place, "KmsDisabled", True) for place in range(3)])
    async with FakeSink(fake) as sink:
        with pytest.raises(UnavailableError) as caught:
            await sink.write(events("a", "b", "c"))
    assert (caught.value.code, caught.value.detail) == ("key_unusable", "sqs:SendMessage on orders: KmsDisabled")


async def test_when_nothing_went_through_the_calls_error_is_raised() -> None:
    async with FakeSink(FakeQueue(TransientError("timeout"), UnavailableError("denied"))) as sink:
        with pytest.raises(UnavailableError):
            await sink.write(events(*map(str, range(20))))


async def test_a_call_that_failed_beside_others_fails_its_own_events_only() -> None:
    fake = FakeQueue((), UnavailableError("denied"), ())
    async with FakeSink(fake) as sink:
        failures = await sink.write(events(*map(str, range(25))))
    assert seen(failures) == [(message.body, TRANSIENT, "denied") for message in fake.sent[1]]


async def test_a_message_that_spoils_its_whole_request_is_singled_out_and_the_rest_sent_once() -> None:
    fake = PickyQueue()
    async with FakeSink(fake) as sink:
        failures = await sink.write(events(*"abcd", "bad", *"efghi"))
    assert seen(failures) == [("bad", PERMANENT, "rejected")]
    sent = [message.body for batch in fake.sent for message in batch if "bad" not in [one.body for one in batch]]
    assert sorted(sent) == list("abcdefghi")


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Event(b"", id="1"), "empty_body"),
        (Event(b"\xff", id="1"), "not_text"),
        (Event(b"a\0b", id="1"), "invalid_characters"),
        (Event(b"x" * MAX_BYTES, id="1"), "too_large"),
        (Event(b"x", id="1", attributes={f"a{n}": Attribute("String", "x") for n in range(10)}), "too_many_attributes"),
        (Event(b"x", id="1", attributes={"a": Attribute("String", "")}), "invalid_attribute"),
    ],
)
async def test_what_sqs_would_refuse_is_not_sent(event: Event, code: str) -> None:
    fake = FakeQueue()
    async with FakeSink(fake) as sink:
        (failure,) = await sink.write([event, *events("x")])
    assert (failure.event, failure.kind, failure.code) == (event, PERMANENT, code)
    assert [[message.body for message in batch] for batch in fake.sent] == [["x"]]


async def test_nine_attributes_leave_room_for_the_origin() -> None:
    fake = FakeQueue()
    attributes = {f"a{n}": Attribute("String", "x") for n in range(9)}
    async with FakeSink(fake) as sink:
        assert list(await sink.write([Event(b"x", id="1", attributes=attributes)])) == []
    assert len(fake.sent[0][0].attributes) == 10


@given(st.lists(st.integers(1, MAX_BYTES - 100), max_size=40))
async def test_no_request_has_more_than_ten_messages_or_one_mebibyte(sizes: list[int]) -> None:
    fake = FakeQueue()
    async with FakeSink(fake) as sink:
        assert list(await sink.write([Event(b"x" * size, id=str(n)) for n, size in enumerate(sizes)])) == []
    assert [len(message.body) for batch in fake.sent for message in batch] == sizes
    for batch in fake.sent:
        assert len(batch) <= 10
        assert sum(map(checked_size, batch)) <= MAX_BYTES


async def test_small_messages_fill_their_requests() -> None:
    fake = FakeQueue()
    async with FakeSink(fake) as sink:
        await sink.write(events(*map(str, range(25))))
    assert sorted(map(len, fake.sent)) == [5, 10, 10]
