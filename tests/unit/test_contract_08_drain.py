"""Contract 8: a drain stops receiving, flushes, settles, releases the rest, within its budget; a second one is at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import anyio

from forkstream import Event, Failure, TransientError
from forkstream.service import drain_budget, poll_wait
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, events, fork_of, memory_source, running, until


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
