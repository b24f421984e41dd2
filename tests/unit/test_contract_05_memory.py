"""Contract 5, at volume: forks share a memory, and none of them starves; what the budget charges is what is held."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Sequence

import anyio
from hypothesis import given
from hypothesis import strategies as st

from forkstream import Attribute, Event, Failure
from forkstream.flow.lender import Lender
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until

KIB = 2**10
MEASURE = """
import psutil
from forkstream.event import Event
from forkstream.flow.custody import Held, Receive
from tests.sanitize_kit import ORDER

def hold(count, decoded):
    receive, held = Receive(0.0, 30.0, 3600.0), []
    for number in range(count):
        one = Held.of(Event(bytes(bytearray(ORDER)), id=f"{number:036d}", sent_at=float(number)), f"{number:0400d}", receive)
        if decoded:
            one.event.data
            one.decoded()
        held.append(one)
    return held

process = psutil.Process()
warm = hold(100, True)
for decoded in (False, True):
    before = process.memory_info().rss
    held = hold(20_000, decoded)
    print((process.memory_info().rss - before) / sum(one.charge for one in held))
    kept = held, kept if decoded else None  # so that the second does not use what the first gave back
"""


class Borrower:
    def __init__(self, held: int = 0) -> None:
        self.held = held
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_whatever_others_hold_half_of_a_share_is_ones_own_and_all_together_stay_within_the_memory(
    total: int, wishes: list[int]
) -> None:
    lender = Lender(total, len(wishes))
    borrowers = [Borrower() for _ in wishes]
    for borrower in borrowers:
        lender.join(borrower)
    for borrower, wish in zip(borrowers, wishes, strict=True):
        limit = lender.limit_of(borrower)
        assert limit >= lender.guaranteed >= total // len(wishes) // 2
        borrower.held = min(wish, limit)
    assert sum(borrower.held for borrower in borrowers) <= max(total, len(wishes))


def test_a_stalled_fork_starves_no_other_and_loses_nothing() -> None:
    freed = anyio.Event()

    async def stalled(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await freed.wait()
        return ()

    async def main() -> None:
        lender = Lender(400 * KIB, 2)
        slow_source, quick_source = memory_source(events(500, size=1000)), memory_source()
        slow = fork_of(slow_source, ScriptedSink(stalled), lender=lender)
        quick = fork_of(quick_source, ScriptedSink(), lender=lender)
        async with running(slow), running(quick):
            await anyio.sleep(30)
            assert 250 * KIB < slow.budget.bytes <= 300 * KIB + 10 * 2 * KIB, "all that nobody else needs"
            quick_source.put(events(300, size=1000))
            await until(lambda: len(quick_source.settled) == 300, 60)
            assert slow.budget.events < 500
            freed.set()
            await until(lambda: len(slow_source.settled) == 500, 60)

    run_on_fake_clock(main)


def test_what_one_fork_gives_back_another_may_hold_at_once() -> None:
    async def slow(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(20)
        return ()

    async def main() -> None:
        lender = Lender(200 * KIB, 2)
        sources = [memory_source(events(80, size=1000)), memory_source(events(400, size=1000))]
        first, second = (fork_of(source, ScriptedSink(slow), lender=lender, concurrency=100) for source in sources)
        async with running(first), running(second):
            await anyio.sleep(10)
            alone = second.budget.bytes
            await until(lambda: not first.budget.events, 200)
            await anyio.sleep(5)
            assert second.budget.bytes > alone * 1.2
            await until(lambda: not sources[1].waiting, 600)

    run_on_fake_clock(main)


def test_the_budget_charges_what_the_process_really_takes() -> None:
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    received, decoded = map(float, run.stdout.split())
    assert 0.7 < received < 1.4, run.stdout
    assert 0.7 < decoded < 1.4, run.stdout


def test_what_a_stage_makes_larger_is_charged_as_it_is_then() -> None:
    async def main() -> None:
        stage = ScriptedStage(lambda event: event.with_(body=bytes(100 * KIB)))
        fork = fork_of(memory_source(events(1)), ScriptedSink(), stages=[stage], max_age=10)
        async with running(fork):
            await until(lambda: fork.intake.open_batches)
            assert fork.budget.bytes > 100 * KIB

    run_on_fake_clock(main)


def test_attributes_are_charged_as_bodies_are() -> None:
    async def main() -> None:
        event = Event(b"{}", id="0", attributes={"photo": Attribute("Binary", bytes(100 * KIB))})
        fork = fork_of(memory_source([event]), ScriptedSink(), max_age=10)
        async with running(fork):
            await until(lambda: fork.intake.open_batches)
            assert fork.budget.bytes > 100 * KIB
        assert fork.budget.bytes == 0

    run_on_fake_clock(main)
