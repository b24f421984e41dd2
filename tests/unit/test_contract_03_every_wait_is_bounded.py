"""Contract 3: an attempt, its retries, and what an outage does to receive counts are all bounded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence

import anyio
import anyio.to_thread
import pytest

from forkstream import Event, EventSink, Failure, Payload, Settings, TransientError
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.gate import State
from forkstream.flow.writers import ObjectWriter
from forkstream.formats import Format
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import CONTEXT, ScriptedObjectSink, ScriptedSink, events, fork_of, memory_source, running, until


def test_a_sink_that_hangs_is_cancelled_and_its_events_are_tried_again() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call == 1:
            await anyio.sleep_forever()
        return ()

    async def main() -> None:
        sink, source = ScriptedSink(script), memory_source(events(5))
        async with running(fork_of(source, sink, retry=RetryPolicy(write_timeout=60))):
            await until(lambda: not source.waiting, 70)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_when_patience_ends_events_come_again_later_each_time_and_are_never_dead() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "hot_key") for event in batch if event.id == "0"]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(1))
        fork = fork_of(source, ScriptedSink(script), dead_letters=letters, retry=RetryPolicy(max_elapsed=10))
        async with running(fork):
            for number in range(1, 1000):  # the others go through meanwhile
                source.put(events(1, start=number))
                await anyio.sleep(1)
        delays = [seconds for _, seconds in source.released if seconds != fork.custody.hold]
        assert delays[0] <= 2
        assert delays[3] > 60
        assert not letters.events
        assert len(source.settled) == 999

    run_on_fake_clock(main)


def test_then_dead_is_a_choice() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise TransientError("timeout")

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(1))
        retry = RetryPolicy(max_elapsed=10, then_dead=True)
        async with running(fork_of(source, ScriptedSink(script), dead_letters=letters, retry=retry)):
            await until(lambda: not source.waiting)
        assert len(letters.events) == 1

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_an_outage_longer_than_patience_receives_one_probe_at_a_time() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise TransientError("connection")
        return ()

    sink = ScriptedSink(script)

    async def main() -> None:
        sink.healthy = False
        source = memory_source(events(1000))
        fork = fork_of(source, sink, retry=RetryPolicy(max_elapsed=300), max_held_events=100)
        async with running(fork):
            await anyio.sleep(6 * 3600)
            assert fork.gate.state is State.PROBING
            sink.healthy = True
            mended_at = anyio.current_time()
            await until(lambda: not source.waiting)
            assert anyio.current_time() - mended_at < 1000
        # good messages must not be pushed into a redrive queue: six hours cost the unluckiest a few receives
        receives = sorted(event.receive_count for event in sink.events)
        assert receives[-1] <= 8
        assert sum(count > 2 for count in receives) < 60

    run_on_fake_clock(main)


def test_retries_end_before_the_source_lets_go() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise TransientError("connection")

    async def main() -> None:
        source = memory_source(events(3))
        source.hold_limit = 400.0
        fork = fork_of(source, ScriptedSink(script), retry=RetryPolicy(max_elapsed=7200))
        async with running(fork):
            await until(lambda: fork.gate.state is State.PROBING, 401)
        assert fork.settlement.expired == 0

    run_on_fake_clock(main)


async def test_a_blocking_sink_that_hangs_keeps_its_place_while_its_events_are_tried_again() -> None:
    """On real threads and the real clock: a fake one has nothing to jump to while a thread works."""
    release, calls, most = threading.Event(), Counter[str](), 0

    class Blocking(EventSink[Settings]):
        def write(self, events: Sequence[Event]) -> Collection[Failure]:
            nonlocal most
            calls["now"] += 1
            calls["all"] += 1
            most = max(most, calls["now"])
            try:
                if calls["all"] <= 2:
                    assert release.wait(30)
            finally:
                calls["now"] -= 1
            return ()

    source = memory_source(events(4))
    retry = RetryPolicy(write_timeout=0.1)
    fork = fork_of(source, Blocking(Settings(), CONTEXT), max_events=1, max_age=0.0, concurrency=2, retry=retry)
    async with running(fork, drain_within=10):
        await until(lambda: calls["all"] == 2 and fork.meter.failed_total >= 4, 30)
        assert calls["all"] == 2, "a third call was made while two hung"
        release.set()
        await until(lambda: not source.waiting, 30)
    assert most == 2


async def test_an_object_that_hangs_while_it_is_rendered_holds_up_no_other_fork() -> None:
    """On real threads: those that all of the process shares are as good as used up by one."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1
    hangs, release = threading.Event(), threading.Event()

    def hang(_batch: Sequence[Event]) -> Payload:
        hangs.set()
        assert release.wait(30)
        return Payload(b"", "text/plain")

    one, other = (
        ObjectWriter(name, ScriptedObjectSink(), render=render, suffix="").begin("", events(1))
        for name, render in (("one", hang), ("other", Format().render))
    )
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.attempt, 1)
            await until(hangs.is_set, 30)
            with anyio.move_on_after(5) as limit:
                await other.attempt(1)
            release.set()
        assert not limit.cancelled_caught
    finally:
        release.set()
