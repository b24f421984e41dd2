"""Contract 5: back-pressure is one budget; under pressure, or near the queue's quota, batches close early."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import anyio
from prometheus_client import generate_latest

from forkstream import Backlog, Event, Failure, Receipt, TransientError
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.fork import Fork
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedAsyncStage, ScriptedSink, events, fork_of, memory_source, running, until


def closed(fork: Fork, reason: str) -> float:
    line = f'forkstream_batch_closed_total{{fork="test",reason="{reason}"}} '.encode()
    text = generate_latest(fork.meter._metrics.registry)
    return next((float(row[len(line) :]) for row in text.splitlines() if row.startswith(line)), 0.0)


async def slow(batch: Sequence[Event], call: int) -> Collection[Failure]:
    await anyio.sleep(50)
    return ()


def test_a_slow_sink_stops_receives_at_the_budget() -> None:
    async def main() -> None:
        source = memory_source(events(500))
        fork = fork_of(source, ScriptedSink(slow), max_held_events=64, concurrency=2)
        async with running(fork, drain_within=1):
            await anyio.sleep(300)
            assert 64 - 10 <= fork.budget.events <= 64
            assert len(source.settled) >= 80, "it must still move"

    run_on_fake_clock(main)


def test_bytes_count_as_well_as_events() -> None:
    async def main() -> None:
        source = memory_source(events(500, size=1000))
        fork = fork_of(source, ScriptedSink(slow), max_held_bytes=40_000)
        async with running(fork, drain_within=1):
            await anyio.sleep(200)
            assert fork.budget.bytes <= 40_000 + 10 * 1100
            assert fork.budget.events >= 20

    run_on_fake_clock(main)


def test_an_event_larger_than_the_budget_goes_through_alone() -> None:
    async def main() -> None:
        source = memory_source(events(5, size=5000))
        async with running(fork_of(source, ScriptedSink(), max_held_bytes=100)):
            await until(lambda: not source.waiting)

    run_on_fake_clock(main)


def test_pressure_closes_the_fullest_batch_when_the_sink_is_free() -> None:
    async def main() -> None:
        source, sink = memory_source(events(100)), ScriptedSink()
        fork = fork_of(source, sink, max_events=1000, max_age=3600, max_held_events=20)
        async with running(fork):
            await until(lambda: not source.waiting, 600)
        assert closed(fork, "pressure") >= 4

    run_on_fake_clock(main)


def test_without_pressure_a_batch_waits_for_its_age() -> None:
    async def main() -> None:
        source, sink = memory_source(events(100)), ScriptedSink()
        fork = fork_of(source, sink, max_events=1000, max_age=900, max_held_events=200)
        async with running(fork):
            await anyio.sleep(890)
            assert not sink.batches
            await until(lambda: not source.waiting, 20)
        assert sink.batches == [[str(n) for n in range(100)]]
        assert closed(fork, "age") == 1

    run_on_fake_clock(main)


def test_near_the_queues_quota_an_empty_receive_closes_batches() -> None:
    async def main() -> None:
        source = memory_source(events(100))
        source.in_flight_limit = 1000

        async def crowded() -> Backlog:
            return Backlog(ready=5000, in_flight=950)

        source.backlog = crowded  # type: ignore[method-assign]
        fork = fork_of(source, ScriptedSink(), max_events=1000, max_age=3600)
        async with running(fork):
            await until(lambda: not source.waiting, 120)
        assert closed(fork, "quota") >= 1

    run_on_fake_clock(main)


def test_a_settled_event_leaves_the_memory_though_others_of_its_receive_stay() -> None:
    """Else one event in ten that waits long would keep ten times what the budget counts."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "hot") for event in batch if int(event.id) % 10 == 0]

    async def main() -> None:
        source = memory_source(events(100, size=1000))
        fork = fork_of(source, ScriptedSink(script), retry=RetryPolicy(max_elapsed=1000))
        async with running(fork, drain_within=1):
            await until(lambda: len(source.settled) == 90, 60)
            assert fork.budget.events == len(fork.custody.undecided()) == 10
            kept = [held for receive in fork.custody._receives for held in receive.held]
            assert sum(one.charge for one in kept) == fork.budget.bytes

    run_on_fake_clock(main)


def test_a_source_that_never_waits_is_not_asked_without_end() -> None:
    calls = 0

    async def main() -> None:
        source = memory_source()

        async def receive(limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
            nonlocal calls
            calls += 1
            assert calls < 1000
            return source._take(limit, hold)

        source.receive = receive  # type: ignore[method-assign]
        async with running(fork_of(source, ScriptedSink())):
            await anyio.sleep(60)
            source.put(events(3))
            await until(lambda: not source.waiting)

    run_on_fake_clock(main)


def test_a_slot_that_comes_free_closes_no_batch_while_no_receive_is_refused() -> None:
    async def main() -> None:
        source, sink = memory_source(events(15)), ScriptedSink()
        async with running(fork_of(source, sink, max_age=100)):
            await until(lambda: len(sink.written) == 10)
            await anyio.sleep(50)
            assert len(sink.written) == 10

    run_on_fake_clock(main)


def test_pressure_closes_nothing_while_the_sink_has_no_free_slot() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(30)
        return ()

    async def main() -> None:
        source = memory_source(events(40))
        fork = fork_of(source, ScriptedSink(script), max_age=100, concurrency=1, max_held_events=15)
        async with running(fork):
            await anyio.sleep(20)
            assert fork.budget.refusing
            assert fork.intake.open_batches == 1

    run_on_fake_clock(main)


def test_what_is_gathered_while_receives_are_refused_already_is_closed_by_pressure_too() -> None:
    async def enrich(chunk: Sequence[Event], call: int) -> Mapping[Event, Event]:
        if call == 1:
            raise TransientError("busy")
        return {event: event for event in chunk}

    async def main() -> None:
        source, sink = memory_source(events(10)), ScriptedSink()
        stages = [ScriptedAsyncStage(enrich)]
        fork = fork_of(source, sink, stages=stages, max_held_events=10, max_events=100, max_age=3600)
        async with running(fork):
            await until(lambda: not source.waiting, 60)
            assert closed(fork, "pressure") == 1

    run_on_fake_clock(main)
