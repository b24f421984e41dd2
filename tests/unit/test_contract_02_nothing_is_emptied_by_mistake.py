"""Contract 2: where everything fails, nobody is blamed, and no good event is received until the queue gives it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import anyio
import pytest

from forkstream import Drop, Event, Failure, PermanentError, TransientError, UnavailableError
from forkstream.flow.custody import Outcome
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.gate import TOO_MANY_DEAD
from forkstream.letters import Letter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import (
    ScriptedAsyncStage,
    ScriptedSink,
    ScriptedStage,
    events,
    fork_of,
    memory_source,
    receives_of,
    running,
    until,
)

REDRIVE = 10
"""Receives after which a queue usually gives an event up."""


class Breakage:
    """A sink and stages, one of them broken until ``mended``."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.mended = False
        self.sink = ScriptedSink(self.write)
        self.stages: list[ScriptedStage | ScriptedAsyncStage] = [
            ScriptedStage(self.stage, sanitizes=what == "sanitising"),
            ScriptedAsyncStage(self.enrich),
        ]

    async def write(self, batch: Sequence[Event], call: int) -> Collection[Failure]:
        if self.what == "mapping" and not self.mended:
            return [Failure.permanent(event, "mapping") for event in batch]
        if self.what == "plugin" and not self.mended:
            raise KeyError("a bug")
        return ()

    def stage(self, event: Event) -> Event:
        if self.what in {"stage", "sanitising"} and not self.mended:
            raise PermanentError("wrong_shape")
        return event

    async def enrich(self, chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        if self.what == "outage" and not self.mended:
            raise TransientError("throttled")
        if self.what == "denied" and not self.mended:
            raise UnavailableError("denied")
        return {event: event for event in chunk}


@pytest.mark.unmeasured
@pytest.mark.parametrize("count", [5, 50, 1000])
@pytest.mark.parametrize("what", ["mapping", "plugin", "stage", "sanitising", "outage", "denied"])
def test_what_breaks_for_all_events_gives_none_to_the_queues_redrive(what: str, count: int) -> None:
    async def main() -> None:
        broken, source, letters = Breakage(what), memory_source(events(count)), ScriptedSink()
        fork = fork_of(
            source,
            broken.sink,
            stages=broken.stages,
            dead_letters=letters if count > REDRIVE else None,
            max_held_events=100,
        )
        async with running(fork):
            await anyio.sleep(3 * 3600)
            assert fork.gate.troubled
            assert max(receives_of(source)) < REDRIVE
            broken.mended = True
            mended_at = anyio.current_time()
            await until(lambda: not source.waiting)
            assert anyio.current_time() - mended_at < 100 + count
            assert not fork.gate.troubled
        assert len(letters.written) < 9 + 2 * REDRIVE  # nine are below suspicion, then a few an hour die, as probes

    run_on_fake_clock(main)


def test_two_poison_events_at_the_head_of_a_batch_take_no_neighbour_along() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if any(event.id in {"0", "1"} for event in batch):
            raise PermanentError("bad")
        return ()

    async def main() -> None:
        sink, letters, source = ScriptedSink(script), ScriptedSink(), memory_source(events(1000))
        async with running(fork_of(source, sink, dead_letters=letters, max_events=1000)):
            await until(lambda: not source.waiting)
        assert Counter(sink.written) == Counter(str(n) for n in range(2, 1000))
        assert sorted(letters.written) == ["0", "1"]

    run_on_fake_clock(main)


async def poison_0_and_1(batch: Sequence[Event], call: int) -> Collection[Failure]:
    if any(event.id in {"0", "1"} for event in batch):
        raise PermanentError("bad")
    return ()


@pytest.mark.unmeasured
def test_two_poison_events_alone_are_held_and_nobody_is_blamed() -> None:
    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(2))
        fork = fork_of(source, ScriptedSink(poison_0_and_1), dead_letters=letters)
        async with running(fork, drain_within=1):
            await anyio.sleep(6 * 3600)
            assert fork.gate.troubled
            assert max(receives_of(source)) < 10
        assert letters.written == []

    run_on_fake_clock(main)


def test_a_small_batch_that_fails_event_for_event_blames_nobody() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise PermanentError("bad")

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(5))
        async with running(fork_of(source, ScriptedSink(script), dead_letters=letters), drain_within=1):
            await anyio.sleep(1800)
        assert letters.written == []

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_two_poison_events_that_are_held_stand_in_nobodys_way() -> None:
    async def main() -> None:
        sink, letters, source = ScriptedSink(poison_0_and_1), ScriptedSink(), memory_source(events(2))
        fork = fork_of(source, sink, dead_letters=letters)
        async with running(fork, drain_within=1):
            await anyio.sleep(6 * 3600)
            source.put(events(20, start=2))
            await until(lambda: len(sink.written) == 20, 900)
            assert not fork.trouble

    run_on_fake_clock(main)


@pytest.mark.unmeasured
@pytest.mark.parametrize("then_dead", [False, True])
def test_poison_without_dead_letters_starves_no_good_event(then_dead: bool) -> None:
    def stage(event: Event) -> Event:
        if int(event.id) < 8:
            raise PermanentError("bad")
        return event

    async def main() -> None:
        source, sink = memory_source(events(8)), ScriptedSink()
        fork = fork_of(source, sink, stages=[ScriptedStage(stage)], retry=RetryPolicy(then_dead=then_dead))
        fork.gate.probe(TOO_MANY_DEAD)
        async with running(fork, drain_within=1):
            await anyio.sleep(6 * 3600)
            source.put(events(20, start=8))
            await until(lambda: len(sink.written) == 20, 900)
        assert max(receives_of(source)) < 100

    run_on_fake_clock(main)


@pytest.mark.unmeasured
@pytest.mark.parametrize("where", ["stage", "sink"])
def test_the_last_poison_of_too_many_dies_though_nothing_else_comes(where: str) -> None:
    """Nothing more can be written that would end the trouble, but one at a time empties no queue."""

    def fails(event: Event) -> Event:
        if where == "stage":
            raise PermanentError("bad")
        return event

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad") for event in batch]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(15))
        stages = [ScriptedStage(fails)]
        fork = fork_of(source, ScriptedSink(script), stages=stages, dead_letters=letters, max_events=1)
        async with running(fork):
            await anyio.sleep(60)
            assert len(letters.written) == 9
            await until(lambda: not source.waiting, 7 * 86400)
        assert Counter(letters.written) == Counter(map(str, range(15)))

    run_on_fake_clock(main)


def test_dropped_events_count_as_ended_well() -> None:
    """A filter that lets little through makes no few dead events many."""

    def stage(event: Event) -> Event | Drop:
        return event if int(event.id) % 10 == 0 else Drop("small")

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad") for event in batch if int(event.id) % 50 == 0]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(1000))
        fork = fork_of(source, ScriptedSink(script), stages=[ScriptedStage(stage)], dead_letters=letters)
        async with running(fork):
            await until(lambda: not source.waiting, 60)
            assert not fork.trouble
        assert len(letters.written) == 20

    run_on_fake_clock(main)


def test_one_poison_event_of_an_async_stage_takes_no_neighbour_along() -> None:
    async def script(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        if any(event.id == "3" for event in chunk):
            raise KeyError("a bug that one event met")
        return {event: event for event in chunk}

    async def main() -> None:
        source, sink, letters = memory_source(events(10)), ScriptedSink(), ScriptedSink()
        async with running(fork_of(source, sink, stages=[ScriptedAsyncStage(script)], dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert letters.written == ["3"]
        assert Letter.decode(letters.events[0].body).step == "stages[0].scripted"

    run_on_fake_clock(main)


@pytest.mark.parametrize("answer", ["left out", "transient", "foreign", "raised"])
def test_what_an_async_stage_fails_for_now_is_held_and_tried_again_and_the_others_go_on(answer: str) -> None:
    async def script(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        answers: dict[Event, Event | Drop | Failure] = {event: event for event in chunk}
        if anyio.current_time() > 60:
            return answers
        if answer == "raised":
            raise TransientError("busy")
        if answer == "foreign":
            answers[Event(b"{}", id="foreign")] = Drop("foreign")
        for event in chunk[:1]:
            if answer == "transient":
                answers[event] = Failure.transient(event, "busy")
            elif len(chunk) == 10 or event.id == "0":
                del answers[event]
        return answers

    async def main() -> None:
        source, sink = memory_source(events(10)), ScriptedSink()
        async with running(
            fork_of(source, sink, stages=[ScriptedAsyncStage(script)], retry=RetryPolicy(max_elapsed=100))
        ):
            await anyio.sleep(30)
            assert len(sink.written) == (0 if answer == "raised" else 9)
            await until(lambda: not source.waiting)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_a_few_events_that_fail_for_long_keep_no_slot_from_the_others() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(0.1)
        return [Failure.transient(event, "hot_key") for event in batch if int(event.id) % 10 == 0]

    async def main() -> None:
        source = memory_source(events(500))
        fork = fork_of(source, ScriptedSink(script), concurrency=2)
        async with running(fork, drain_within=1):
            await until(lambda: len(source.settled) == 450, 60)
            assert fork.settlement.settled[Outcome.RETRY] == 0
            assert fork.writing <= 2

    run_on_fake_clock(main)
