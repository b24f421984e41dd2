from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from forkstream.aws.queue import EntryFailure, QueueClient, ReceivedMessage
from forkstream.errors import TransientError, UnavailableError
from forkstream.ports import Context, Refusal
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from tests.fake_queue import FakeQueue

MESSAGE = ReceivedMessage(
    id="1",
    receipt="r1",
    body=b"hello",
    body_md5="5d41402abc4b2a76b9719d911017c592",
    attributes={},
    attributes_md5=None,
    sent_at=1.0,
    receive_count=1,
    group=None,
)
RECEIPTS = [f"r{number}" for number in range(25)]


class FakeSource(SqsSource):
    def __init__(self, fake: FakeQueue, queue: str = "orders") -> None:
        super().__init__(SqsSourceConfig(queue=queue, envelope="raw"), Context(fork="f"))
        self.fake = fake

    def connect(self) -> AbstractAsyncContextManager[QueueClient]:
        return self.fake.open()


@pytest.mark.parametrize("settle", ["delete", "hold"])
async def test_receipts_are_settled_ten_a_call(settle: str) -> None:
    fake = FakeQueue()
    async with FakeSource(fake) as source:
        await (source.delete(RECEIPTS) if settle == "delete" else source.hold(RECEIPTS, 30))
    assert sorted(fake.batches, key=len) == [RECEIPTS[20:], RECEIPTS[:10], RECEIPTS[10:20]]


@pytest.mark.parametrize(
    ("failure", "lost", "code"),
    [
        (EntryFailure(3, "ReceiptHandleIsInvalid", True), True, "expired"),
        (EntryFailure(3, "AWS.SimpleQueueService.MessageNotInflight", False), True, "expired"),
        (EntryFailure(3, "InvalidParameterValue", True), True, "expired"),
        (EntryFailure(3, "SomethingNew", True), True, "rejected"),
        (EntryFailure(3, "InternalError", False), False, "server_error"),
        (EntryFailure(3, "RequestThrottled", True), False, "throttled"),
        (EntryFailure(3, "AccessDenied", True), False, "denied"),
    ],
)
async def test_a_refused_entry_is_traced_to_its_receipt(failure: EntryFailure, lost: bool, code: str) -> None:
    fake = FakeQueue((), [failure])
    async with FakeSource(fake) as source:
        refusals = await source.delete(RECEIPTS)
    assert list(refusals) == [Refusal(fake.batches[1][3], lost=lost, code=code)]


async def test_a_call_that_failed_leaves_its_receipts_to_be_asked_again() -> None:
    fake = FakeQueue((), TransientError("timeout"))
    async with FakeSource(fake) as source:
        refusals = await source.hold(RECEIPTS, 30)
    assert list(refusals) == [Refusal(receipt, lost=False, code="timeout") for receipt in fake.batches[1]]


async def test_only_when_no_call_went_through_it_raises() -> None:
    fake = FakeQueue(UnavailableError("denied"), UnavailableError("denied"), UnavailableError("denied"))
    async with FakeSource(fake) as source:
        with pytest.raises(UnavailableError):
            await source.delete(RECEIPTS)


@pytest.mark.parametrize(("seconds", "asked"), [(0, 0), (0.2, 1), (30, 30), (30.1, 31), (99_999, 43_200)])
async def test_a_hold_is_asked_in_whole_seconds_of_no_less(seconds: float, asked: int) -> None:
    fake = FakeQueue()
    async with FakeSource(fake) as source:
        await source.hold(["r"], seconds)
    assert fake.seconds == [asked]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ((1, 30.5, 0.9), (1, 31, 0)),
        ((10, 0.0, 20.0), (10, 1, 20)),
        ((100, 50_000.0, 60.0), (10, 43_200, 20)),
    ],
)
async def test_a_receive_is_asked_within_what_sqs_takes(
    given: tuple[int, float, float], asked: tuple[int, int, int]
) -> None:
    fake = FakeQueue()
    async with FakeSource(fake) as source:
        await source.receive(given[0], hold=given[1], wait=given[2])
    assert fake.receives == [{"limit": asked[0], "hold": asked[1], "wait": asked[2], "attempt": None}]


@pytest.mark.parametrize("damage", [{"body": b"hellp"}, {"attributes_md5": "0"}])
async def test_a_damaged_message_is_left_out_and_counted(damage: dict[str, Any]) -> None:
    damaged = msgspec.structs.replace(MESSAGE, receipt="r2", **damage)
    async with FakeSource(FakeQueue(messages=[[damaged, MESSAGE]])) as source:
        ((event, receipt),) = await source.receive(10, hold=30, wait=0)
        assert source.damaged == 1
    assert (event.body, receipt) == (b"hello", "r1")


async def test_on_a_fifo_queue_a_lost_answer_is_asked_for_again() -> None:
    lost = TransientError("timeout")
    fake = FakeQueue(messages=[[], lost, lost, [], [], []])
    async with FakeSource(fake, "orders.fifo") as source:
        for _ in range(6):
            try:
                await source.receive(10, hold=30, wait=0)
            except TransientError:
                continue
    first, lost_one, asked_again, answered, *others = [receive["attempt"] for receive in fake.receives]
    assert lost_one == asked_again == answered
    assert None not in (first, lost_one)
    assert len({first, lost_one, *others}) == 4


async def test_a_group_counts_on_fifo_queues_only() -> None:
    message = msgspec.structs.replace(MESSAGE, group="tenant")
    for name, group in (("orders", None), ("orders.fifo", "tenant")):
        async with FakeSource(FakeQueue(messages=[[message]]), name) as source:
            ((event, _),) = await source.receive(10, hold=30, wait=0)
        assert event.group == group
