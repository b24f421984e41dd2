"""Contract 5, at volume: as many pollers as bring more events, and one where there is little to bring."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence

import anyio
import pytest

from forkstream import Backlog, Event, Failure, Receipt, Refusal, TransientError
from forkstream.flow.fork import Fork
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import CONTEXT, ScriptedSink, events, fork_of, memory_source, running, until


class Dealer(MemorySource):
    """A queue that ``rate`` events a second reach for ``seconds``. A receive takes ``latency`` and brings 1 to 10 of them.

    With ``places``, receives beyond so many at once only wait for each other.
    """

    def __init__(self, rate: float, seconds: float, *, places: int = 1000, most: int = 10) -> None:
        super().__init__(MemoryConfig(), CONTEXT)
        self.offered = 0.0
        self.taken = 0
        self.receives = 0
        self.deletes: list[int] = []
        self.at_once = 0
        self._rate = rate
        self._until = seconds
        self._most = most
        self._dice = random.Random(7)
        self._places = anyio.Semaphore(places)

    @property
    def available(self) -> int:
        self.offered = min(anyio.current_time(), self._until) * self._rate
        return int(self.offered) - self.taken

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        self.receives += 1
        self.at_once += 1
        try:
            async with self._places:
                await anyio.sleep(self._dice.uniform(0.01, 0.035))
            with anyio.move_on_after(wait):
                while not self.available:
                    await anyio.sleep(0.005 if anyio.current_time() < self._until else 1)
            count = min(self.available, limit, self._dice.randint(1, self._most))
        finally:
            self.at_once -= 1
        first, self.taken = self.taken, self.taken + count
        return [(Event(b"{}", id=str(number)), number) for number in range(first, first + count)]

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        self.deletes.append(len(receipts))
        await anyio.sleep(0.005)
        return ()

    async def backlog(self) -> Backlog:
        return Backlog(ready=self.available, in_flight=0)


def flowing(source: MemorySource) -> Fork:
    return fork_of(source, ScriptedSink(), max_events=500, max_age=0.5)


@pytest.mark.unmeasured
def test_receives_bring_what_a_queue_offers_a_few_at_a_time() -> None:
    async def main() -> None:
        for rate, most in ((2000, 10), (600, 4)):
            source = Dealer(rate, anyio.current_time() + 20, most=most)
            source.taken = int(anyio.current_time() * rate)
            begin = source.taken
            fork = flowing(source)
            async with running(fork):
                await anyio.sleep(20)
                assert source.taken - begin >= 0.95 * (source.offered - begin), fork.intake.pollers
                assert fork.intake.pollers < 3 * rate * 0.022 / (most / 2)

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_an_idle_fork_costs_one_long_poll_at_a_time() -> None:
    async def main() -> None:
        source = Dealer(2000, 5)
        fork = flowing(source)
        async with running(fork):
            await anyio.sleep(5)
            assert fork.intake.pollers > 3
            await until(lambda: not source.available)
            await anyio.sleep(45)
            before = source.receives
            await anyio.sleep(200)
            assert source.receives - before <= 10
            assert source.at_once == 1

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_no_pollers_are_added_that_bring_no_more() -> None:
    async def main() -> None:
        source = Dealer(5000, 60, places=2)
        fork = flowing(source)
        async with running(fork, drain_within=1):
            seen = Counter[int]()
            for _ in range(50):
                await anyio.sleep(1)
                seen[fork.intake.pollers] += 1
            assert max(seen) <= 6, seen
            assert seen.most_common(1)[0][0] >= 2

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_no_pollers_are_added_while_the_budget_refuses() -> None:
    async def slow(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(1)
        return ()

    async def main() -> None:
        source = Dealer(5000, 60)
        fork = fork_of(source, ScriptedSink(slow), max_events=50, max_held_events=200, concurrency=4)
        async with running(fork, drain_within=1):
            await anyio.sleep(50)
            assert fork.intake.pollers <= 8

    run_on_fake_clock(main)


def test_deletes_travel_in_full_requests_across_polls_and_leave_within_50_ms() -> None:
    async def main() -> None:
        source = Dealer(700, 20)
        fork = fork_of(source, ScriptedSink(), max_events=7, max_age=0.05)
        async with running(fork):
            await until(lambda: not source.available and not fork.budget.events, 40)
            full = sum(count - count % 10 for count in source.deletes)
            assert full >= 0.8 * source.taken
            assert sum(count % 10 > 0 for count in source.deletes) <= 20 / 0.04 + 2

    run_on_fake_clock(main)


def test_a_lone_decision_is_applied_within_50_ms() -> None:
    async def main() -> None:
        source = memory_source(events(3))
        fork = fork_of(source, ScriptedSink(), max_events=3)
        async with running(fork):
            while not source.settled:
                assert anyio.current_time() <= 0.05
                await anyio.sleep(0.001)
            assert len(source.settled) == 3

    run_on_fake_clock(main)


def test_an_answer_that_is_lost_costs_visibility_and_no_event() -> None:
    class Losing(MemorySource):
        calls = 0

        async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
            self.calls += 1
            lost = self.calls % 3 == 0
            answer = await super().receive(limit, hold=hold, wait=wait)
            if lost:
                raise TransientError("connection_lost")
            return answer

    async def main() -> None:
        source, sink = Losing(MemoryConfig(), CONTEXT), ScriptedSink()
        source.put(events(500))
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert sorted(map(int, sink.written)) == [*range(500)]

    run_on_fake_clock(main)
