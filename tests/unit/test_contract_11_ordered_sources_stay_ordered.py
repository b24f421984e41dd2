"""Contract 11: one batch under way per group, nothing overtakes within a group, and a group's last events don't wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream import Drop, Event, Failure, PermanentError, TransientError, UnavailableError
from forkstream.flow.custody import Outcome
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.fork import Fork
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import (
    ScriptedAsyncStage,
    ScriptedSink,
    ScriptedStage,
    events,
    fork_of,
    memory_source,
    running,
    until,
)


def assert_in_order(written: Sequence[str], groups: int) -> None:
    """First writings of each group come in the order of sending."""
    by_group: dict[int, list[int]] = defaultdict(list)
    for number in map(int, dict.fromkeys(written)):
        by_group[number % groups].append(number)
    for numbers in by_group.values():
        assert numbers == sorted(numbers)


@settings(max_examples=100)
@given(
    answers=st.lists(st.sampled_from(["ok", "transient", "permanent", "partial", "dead"]), max_size=20),
    groups=st.integers(1, 5),
    max_events=st.integers(1, 30),
    max_bytes=st.integers(50, 1000),
    partitions=st.integers(1, 3),
    stage_failures=st.lists(st.sampled_from(["", "first", "last", "all", "poison"]), max_size=20),
)
def test_order_survives_failures(
    answers: list[str], groups: int, max_events: int, max_bytes: int, partitions: int, stage_failures: list[str]
) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(0.3)
        answer = answers[call - 1] if call <= len(answers) else "ok"
        if answer == "transient":
            raise TransientError("busy")
        if answer == "permanent":
            raise PermanentError("bad")
        if answer in {"partial", "dead"}:
            # an ordered sink names the later events of a failed one's group too
            first = batch[0]
            fail = Failure.transient if answer == "partial" else Failure.permanent
            behind = [Failure.transient(event, "behind") for event in batch[1:] if event.group == first.group]
            return [fail(first, "bad"), *behind]
        return ()

    async def enrich(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        failure = stage_failures[call - 1] if call <= len(stage_failures) else ""
        failed = {"": chunk[:0], "first": chunk[:1], "last": chunk[-1:], "all": chunk, "poison": chunk[:1]}[failure]
        fail = Failure.permanent if failure == "poison" else Failure.transient
        return {event: fail(event, "bad") if event in failed else event for event in chunk}

    async def main() -> None:
        source, sink, letters = (
            memory_source(events(60, groups=groups), ordered=True),
            ScriptedSink(script),
            ScriptedSink(),
        )
        sink.partitions = lambda event: str(int(event.id) % partitions)
        fork = fork_of(
            source,
            sink,
            stages=[ScriptedAsyncStage(enrich)],
            dead_letters=letters,
            max_events=max_events,
            max_bytes=max_bytes,
            retry=RetryPolicy(max_elapsed=1),
            max_dead_ratio=1.0,
        )
        async with running(fork):
            await until(lambda: not source.waiting, 86400)
        assert_in_order(sink.written, groups)
        assert {*sink.written, *(event.id for event in letters.events)} == {str(n) for n in range(60)}

    run_on_fake_clock(main)


def test_an_event_that_a_stage_fails_holds_back_those_behind_it() -> None:
    failing = {"3"}

    def stage(event: Event) -> Event:
        if event.id in failing:
            raise TransientError("not_yet")
        return event

    async def main() -> None:
        source, sink = memory_source(events(10, groups=2), ordered=True), ScriptedSink()
        async with running(fork_of(source, sink, stages=[ScriptedStage(stage)])):
            await until(lambda: len(sink.written) == 6)
            await anyio.sleep(60)
            assert set(sink.written) == {"0", "2", "4", "6", "8", "1"}
            failing.clear()
            await until(lambda: not source.waiting)
        assert_in_order(sink.written, 2)

    run_on_fake_clock(main)


def test_a_receive_that_is_not_full_closes_the_open_batches() -> None:
    async def main() -> None:
        source, sink = memory_source(events(4, groups=1), ordered=True), ScriptedSink()
        async with running(fork_of(source, sink, max_events=1000, max_age=3600)):
            await until(lambda: not source.waiting, 30)

    run_on_fake_clock(main)


def test_a_full_receive_doesnt_wait_for_the_batchs_age_either() -> None:
    async def main() -> None:
        source, sink = memory_source(events(10, groups=1), ordered=True), ScriptedSink()
        async with running(fork_of(source, sink, max_events=1000, max_age=3600)):
            await until(lambda: not source.waiting, 30)

    run_on_fake_clock(main)


def test_what_goes_on_behind_a_batch_waits_for_no_poll() -> None:
    async def main() -> None:
        source, sink = memory_source(events(4, groups=1), ordered=True), ScriptedSink()
        sink.partitions = lambda event: str(int(event.id) % 2)
        async with running(fork_of(source, sink, max_events=1000, max_age=3600, poll_wait=20)):
            await until(lambda: len(sink.written) == 4, 5)

    run_on_fake_clock(main)


def test_what_a_stage_let_through_at_its_second_try_waits_for_no_poll() -> None:
    failing = {"0"}

    def stage(event: Event) -> Event:
        if event.id in failing:
            failing.clear()
            raise TransientError("not_yet")
        return event

    async def main() -> None:
        source, sink = memory_source(events(1, groups=1), ordered=True), ScriptedSink()
        stages = [ScriptedStage(stage)]
        async with running(fork_of(source, sink, stages=stages, max_events=1000, max_age=3600, poll_wait=20)):
            await until(lambda: sink.written, 5)

    run_on_fake_clock(main)


def test_a_group_whose_batch_was_closed_by_its_size_waits_for_it() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(10 if batch[0].id == "0" else 0.1)
        return ()

    async def main() -> None:
        source, sink = memory_source(events(6, groups=1, size=60), ordered=True), ScriptedSink(script)
        async with running(fork_of(source, sink, max_bytes=160)):
            await until(lambda: not source.waiting)
        assert sink.written == ["0", "1", "2", "3", "4", "5"]

    run_on_fake_clock(main)


def test_an_event_without_a_partition_holds_back_those_behind_it() -> None:
    failing = {"1"}

    def partition(event: Event) -> str:
        if event.id in failing:
            raise TransientError("not_yet")
        return ""

    async def main() -> None:
        source, sink = memory_source(events(6, groups=1), ordered=True), ScriptedSink()
        sink.partitions = partition
        async with running(fork_of(source, sink)):
            await anyio.sleep(60)
            assert sink.written == ["0"]
            failing.clear()
            await until(lambda: not source.waiting)
        assert sink.written == ["0", "1", "2", "3", "4", "5"]

    run_on_fake_clock(main)


def test_a_stage_that_forgets_the_group_changes_no_order() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(10 if batch[0].id == "0" else 0.1)
        return ()

    async def main() -> None:
        source, sink = memory_source(events(4, groups=1), ordered=True), ScriptedSink(script)
        stage = ScriptedStage(lambda event: Event(event.body, id=event.id))
        async with running(fork_of(source, sink, stages=[stage], max_events=1)):
            await until(lambda: not source.waiting)
        assert sink.written == ["0", "1", "2", "3"]

    run_on_fake_clock(main)


def test_at_a_drain_nothing_overtakes_what_stays_undecided() -> None:
    forks: list[Fork] = []

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if len(batch) > 1:
            raise PermanentError("halves")
        if batch[0].id == "0":
            forks[0].drain(anyio.current_time() + 25)
            raise UnavailableError("denied")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(2, groups=1), ordered=True), ScriptedSink(script)
        forks.append(fork_of(source, sink))
        await forks[0].run()
        assert not sink.written
        assert len(source.waiting) == 2

    run_on_fake_clock(main)


def test_what_stands_behind_a_dead_event_of_its_batch_comes_again() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call > 1:
            return ()
        return [Failure.permanent(batch[0], "bad"), *(Failure.transient(event, "behind") for event in batch[1:])]

    async def main() -> None:
        source, letters = memory_source(events(4, groups=1), ordered=True), ScriptedSink()
        fork = fork_of(source, ScriptedSink(script), dead_letters=letters)
        async with running(fork):
            await until(lambda: not source.waiting)
        assert letters.written == ["0"]
        assert fork.settlement.settled[Outcome.RETRY] == 3

    run_on_fake_clock(main)
