"""Contract 8: a drain stops receiving, flushes, settles, releases the rest, within its budget; a second one is at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Self

import anyio
import pytest

from forkstream import Event, Failure, Payload, Receipt, Refusal, TransientError, UnavailableError
from forkstream.flow.batcher import Limits
from forkstream.flow.flow import Flow
from forkstream.flow.fork import Fork
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.metrics import Metrics
from forkstream.service import Service, drain_budget, poll_wait
from forkstream.telemetry import Meter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import (
    ScriptedObjectSink,
    ScriptedSink,
    ScriptedStage,
    events,
    fork_of,
    memory_source,
    running,
    until,
)


def test_open_batches_are_written_and_settled() -> None:
    async def main() -> None:
        source, sink = memory_source(events(95)), ScriptedSink()
        fork = fork_of(source, sink, max_events=1000, max_age=3600)
        async with running(fork, drain_within=25):
            await until(lambda: fork.budget.events == 95)
        assert Counter(sink.written) == Counter(map(str, range(95)))
        assert not source.waiting

    run_on_fake_clock(main)


def test_what_a_poll_brings_after_the_drain_began_is_released_at_once() -> None:
    async def main() -> None:
        source, sink = memory_source(), ScriptedSink()
        fork = fork_of(source, sink)
        async with running(fork, drain_within=25):
            await anyio.sleep(3)  # a long poll is under way
            fork.drain(anyio.current_time() + 25)
            await anyio.sleep(1)
            source.put(events(3))
            await until(lambda: fork.ended)
        assert not sink.written
        assert [(event.id, seconds) for event, seconds in source.released] == [("0", 0), ("1", 0), ("2", 0)]

    run_on_fake_clock(main)


def test_what_a_poll_brings_late_is_received_by_no_other_poll() -> None:
    async def main() -> None:
        source, sink = memory_source(events(80)), ScriptedSink()
        fork = fork_of(source, sink)
        async with running(fork, drain_within=25):
            await until(lambda: len(source.settled) == 80)
            await anyio.sleep(3)  # every poller has a long poll under way
            fork.drain(anyio.current_time() + 25)
            await anyio.sleep(1)
            source.put(events(1, start=80))
            await until(lambda: fork.ended)
        assert [(event.id, seconds) for event, seconds in source.released] == [("80", 0)]
        assert fork.meter.received_total == 81

    run_on_fake_clock(main)


def test_when_the_budget_is_over_the_rest_is_released_and_nothing_is_lost() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call > 2:
            await anyio.sleep_forever()
        return ()

    async def main() -> None:
        source, sink = memory_source(events(100)), ScriptedSink(script)
        fork = fork_of(source, sink, concurrency=3)
        async with running(fork, drain_within=25):
            await until(lambda: fork.writing == 3)
            drained_at = anyio.current_time()
        assert anyio.current_time() - drained_at < 25 + 5
        assert len(source.settled) == 20
        assert len(source.waiting) == 80
        shown_again = {event.id for event, seconds in source.released if seconds == 0}
        assert {event.id for event in source.waiting} == shown_again

    run_on_fake_clock(main)


def test_a_halted_or_retrying_fork_drains_too() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise TransientError("busy")

    async def main() -> None:
        source = memory_source(events(40))
        fork = fork_of(source, ScriptedSink(script))
        async with running(fork, drain_within=10):
            await anyio.sleep(5)
            drained_at = anyio.current_time()
        assert anyio.current_time() - drained_at < 15
        assert len(source.waiting) == 40

    run_on_fake_clock(main)


def test_cancelled_in_the_middle_a_fork_releases_what_it_holds() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep_forever()
        return ()

    async def main() -> None:
        source = memory_source(events(40))
        fork = fork_of(source, ScriptedSink(script))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fork.run)
            await until(lambda: fork.writing)
            tasks.cancel_scope.cancel()
        assert {event.id for event, seconds in source.released if seconds == 0} == {str(n) for n in range(40)}

    run_on_fake_clock(main)


def test_a_long_poll_never_outlasts_half_of_the_drain_budget() -> None:
    assert poll_wait(30) == drain_budget(30) / 2
    assert poll_wait(120) == 20
    assert drain_budget(30) < 30
    assert drain_budget(1) > 0


@pytest.mark.parametrize("waits", ["for room", "for its source"])
def test_a_drain_does_not_wait_for_what_will_not_come(waits: str) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise UnavailableError("denied")

    async def down(*_: object, **__: object) -> Any:
        raise TransientError("connection")

    async def main() -> None:
        source = memory_source(events(100))
        if waits == "for its source":
            source.receive = down  # type: ignore[method-assign]
        fork = fork_of(source, ScriptedSink(script), max_held_events=20)
        async with running(fork, drain_within=25):
            await anyio.sleep(207)
            drained_at = anyio.current_time()
        assert anyio.current_time() - drained_at < 2
        assert len(source.waiting) == 100

    run_on_fake_clock(main)


@pytest.mark.parametrize("failure", ["raised", "refused"])
def test_a_release_that_fails_is_tried_again(failure: str) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep_forever()
        return ()

    async def main() -> None:
        source, calls = memory_source(events(30)), 0
        hold = source.hold

        async def shaky(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            nonlocal calls
            calls += 1
            if calls == 1 and failure == "raised":
                raise TransientError("throttled")
            if calls == 1:
                refused = [Refusal(receipt, lost=False, code="throttled") for receipt in receipts[:10]]
                return [*refused, *await hold(receipts[10:], seconds)]
            return await hold(receipts, seconds)

        source.hold = shaky  # type: ignore[method-assign]
        async with running(fork_of(source, ScriptedSink(script)), drain_within=1):
            await anyio.sleep(10)
        assert Counter(event.id for event, seconds in source.released if seconds == 0) == Counter(map(str, range(30)))

    run_on_fake_clock(main)


def test_what_was_to_be_shown_again_and_could_not_be_is_released_too() -> None:
    async def main() -> None:
        source, down = memory_source(events(3)), True
        hold = source.hold

        async def shaky(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            if down:
                raise TransientError("connection")
            return await hold(receipts, seconds)

        def fails(event: Event) -> Event:
            raise KeyError("a bug")

        source.hold = shaky  # type: ignore[method-assign]
        async with running(fork_of(source, ScriptedSink(), stages=[ScriptedStage(fails)]), drain_within=1):
            await anyio.sleep(10)
            down = False
        assert {event.id for event, _ in source.released} == {"0", "1", "2"}

    run_on_fake_clock(main)


class Closing(ScriptedSink):
    """Opens a task group of its own, as a plugin with work in the background does; ``how`` it closes."""

    def __init__(self, how: str = "well") -> None:
        super().__init__()
        self.how = how
        self.closed = False

    async def __aenter__(self) -> Self:
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(anyio.sleep_forever)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)
        if self.how == "raises":
            raise RuntimeError("a bug")
        if self.how == "hangs":
            await anyio.sleep_forever()
        await anyio.sleep(1)
        self.closed = True


@pytest.mark.parametrize("how", ["well", "raises", "hangs"])
def test_however_one_plugin_closes_the_others_are_closed_and_the_fork_ends(how: str) -> None:
    async def main() -> None:
        source, sink, letters = memory_source(events(3)), Closing(how), Closing()
        fork = fork_of(source, sink, dead_letters=letters, poll_wait=0.5)
        async with running(fork):
            await until(lambda: not source.waiting)
            drained_at = anyio.current_time()
        assert anyio.current_time() - drained_at < 3.5
        assert (sink.closed, letters.closed) == (how == "well", True)

    run_on_fake_clock(main)


async def test_a_rendering_that_hangs_holds_up_no_drain() -> None:
    """On real threads: a thread can't be cancelled, but what waits for it can leave."""
    release = threading.Event()

    def render(batch: Sequence[Event]) -> Payload:
        assert release.wait(60)
        return Payload(b"", "text/plain")

    source = memory_source(events(3))
    flow = Flow(
        name="test",
        source=source,
        outlet=Outlet(sink=ScriptedObjectSink(), render=render),
        limits=Limits(max_events=3, max_bytes=1000, max_age=0),
    )
    fork = Fork(flow, Meter(Metrics(), "test"))
    try:
        async with running(fork, drain_within=0.1):
            await until(lambda: fork.writing, 30)
        assert not release.is_set()
    finally:
        release.set()
    assert len(source.waiting) == 3


def test_a_second_wish_to_stop_ends_at_once_and_releases_what_is_held() -> None:
    async def hangs(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(3600)
        return ()

    async def main() -> None:
        source = memory_source(events(10))
        sink = ScriptedSink(hangs)
        limits = Limits(max_events=10, max_bytes=2**20, max_age=0.1)
        flow = Flow(name="test", source=source, outlet=Outlet(sink=sink, render=Format().render), limits=limits)
        service = Service([flow], stop_timeout=300.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await until(lambda: sink.calls)
            service.stop()
            await anyio.sleep(30)
            stopped_at = anyio.current_time()
            service.stop()
        assert anyio.current_time() - stopped_at < 5
        assert sorted(int(event.id) for event, seconds in source.released if seconds == 0) == list(range(10))

    run_on_fake_clock(main)
