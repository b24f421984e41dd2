"""Contract 2: poison that nobody may be blamed for is held, and keeps no good event from being received and written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import anyio
import pytest

from forkstream import Event, Failure, PermanentError, UnavailableError
from forkstream.flow.aside import Aside
from forkstream.flow.custody import Held, Receive
from forkstream.flow.fork import Fork
from forkstream.flow.gate import TOO_MANY_DEAD, Gate
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, receives_of, running, until

pytestmark = pytest.mark.unmeasured  # hours of doubt: others run the same lines


class Poison:
    """A stage and a sink, one of which refuses each event whose number ``every`` divides."""

    def __init__(self, where: str, every: int = 4) -> None:
        self.where = where
        self.every = every
        self.sink = ScriptedSink(self.write)
        self.stages = [ScriptedStage(self.stage)]

    def bad(self, event: Event) -> bool:
        return int(event.id) % self.every == 0

    def stage(self, event: Event) -> Event:
        if self.where == "stage" and self.bad(event):
            raise PermanentError("bad")
        return event

    async def write(self, batch: Sequence[Event], call: int) -> Collection[Failure]:
        bad = [event for event in batch if self.bad(event)]
        if self.where == "batch" and bad:
            raise PermanentError("bad")
        return [Failure.permanent(event, "bad") for event in bad] if self.where == "event" else ()


async def doubt(fork: Fork) -> None:
    """Let it seem to a fork, once it is open, that too many have died."""
    await until(lambda: fork.flowing)
    fork.gate.probe(TOO_MANY_DEAD)


@pytest.mark.parametrize("concurrency", [1, None])
@pytest.mark.parametrize("max_events", [1, 10])
@pytest.mark.parametrize("where", ["stage", "event", "batch"])
def test_a_quarter_of_poison_without_dead_letters_delays_the_others_by_minutes(
    where: str, max_events: int, concurrency: int | None
) -> None:
    async def main() -> None:
        poison, source = Poison(where), memory_source(events(60))
        fork = fork_of(source, poison.sink, stages=poison.stages, max_events=max_events, concurrency=concurrency)
        async with running(fork, drain_within=1):
            await until(lambda: len(poison.sink.written) == 45, 900)
            await anyio.sleep(3 * 3600)
            source.put(events(20, start=60))
            await until(lambda: len(poison.sink.written) == 60, 900)

    run_on_fake_clock(main)


@pytest.mark.parametrize("budget", [{"max_held_events": 1}, {"max_held_bytes": 18}, {"max_held_events": 5}])
@pytest.mark.parametrize("where", ["stage", "event", "batch"])
def test_a_budget_full_of_doubt_gives_some_of_it_back(where: str, budget: dict[str, Any]) -> None:
    async def main() -> None:
        poison, source = Poison(where, every=6), memory_source([])
        fork = fork_of(source, poison.sink, stages=poison.stages, max_events=1, **budget)
        async with running(fork, drain_within=1):
            await doubt(fork)
            source.put(events(60))
            await until(lambda: len(poison.sink.written) == 50, 6 * 3600)
            assert max(receives_of(source)) < 12

    run_on_fake_clock(main)


def test_more_doubt_than_may_stand_aside_gives_some_of_it_back() -> None:
    async def main() -> None:
        poison, source = Poison("stage", every=1), memory_source(events(150))
        fork = fork_of(source, poison.sink, stages=poison.stages)
        async with running(fork, drain_within=1):
            await anyio.sleep(12 * 3600)
            assert fork.budget.events <= fork.aside.MOST + 1
            assert max(receives_of(source)) < 10
            poison.where = "nowhere"
            source.put(events(1, start=150))
            await until(lambda: len(poison.sink.written) == 151, 3 * 3600)

    run_on_fake_clock(main)


@pytest.mark.parametrize(("where", "max_held"), [("stage", 1), ("event", 2)])
def test_doubt_that_had_to_leave_ten_times_dies_where_nothing_else_is_left_to_tell(where: str, max_held: int) -> None:
    async def main() -> None:
        poison, source, letters = Poison(where, every=1), memory_source([]), ScriptedSink()
        fork = fork_of(source, poison.sink, stages=poison.stages, dead_letters=letters, max_held_events=max_held)
        async with running(fork, drain_within=1):
            await doubt(fork)
            source.put(events(3))
            await until(lambda: len(source.settled) == 3, 3 * 86400)
        assert sorted(event.id for event in letters.events) == ["0", "1", "2"]

    run_on_fake_clock(main)


@pytest.mark.parametrize("where", ["stage", "event"])
def test_what_is_mended_lets_none_die_however_often_it_was_received_before(where: str) -> None:
    async def main() -> None:
        poison, source, letters = Poison(where, every=1), memory_source([]), ScriptedSink()
        fork = fork_of(source, poison.sink, stages=poison.stages, dead_letters=letters, max_events=1, max_held_events=5)
        async with running(fork, drain_within=600):
            await doubt(fork)
            source.put(events(60))
            for message in source._messages.values():
                message.receives = 11  # an outage before
            await anyio.sleep(2 * 3600)
            source.put(events(400, start=60))
            poison.where = "nowhere"
            await until(lambda: len(poison.sink.written) == 460, 3 * 3600)
        assert not letters.events

    run_on_fake_clock(main)


def test_only_leaving_while_too_many_die_counts() -> None:
    async def main() -> None:
        gate = Gate()
        aside = Aside(gate)
        held = Held.of(events(1)[0], "receipt", Receive(0.0, 60.0, 43200.0, is_probe=True))
        gate.halt(UnavailableError("denied"))
        assert not any(aside.may_die(held, leaves=True) for _ in range(20))
        gate.succeeded()
        gate.probe(TOO_MANY_DEAD)
        assert [aside.may_die(held, leaves=True) for _ in range(10)] == [False] * 9 + [True]

    run_on_fake_clock(main)
