"""No letter is sent twice: whoever redrives it, how many at once, wherever each of them is cut off."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from forkstream import Event, Failure
from forkstream.dlq.redrive import Redrive
from forkstream.dlq.selection import Selection
from forkstream.dlq.standing import State
from forkstream.testing.clock import run_on_fake_clock
from tests.dlq_kit import MemoryShelf, flow_of, letters, store_of
from tests.kit import ScriptedSink

EVERYTHING = Selection(fork="test")


class Destination:
    """Where all operators' sinks write. What it has counts even if the writer never hears of it."""

    def __init__(self, chance: random.Random) -> None:
        self.arrived: Counter[str] = Counter()
        self._chance = chance

    def sink(self) -> ScriptedSink:
        return ScriptedSink(self._write)

    async def _write(self, events: Sequence[Event], _call: int) -> Collection[Failure]:
        await self._dawdle()
        failed = [event for event in events if self._chance.random() < 0.2]
        for event in events:
            if event not in failed:
                self.arrived[event.id] += 1
        await self._dawdle()
        return [
            (Failure.permanent if self._chance.random() < 0.7 else Failure.transient)(event, "refused")
            for event in failed
        ]

    async def _dawdle(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await anyio.lowlevel.checkpoint()


async def cut_off(redrive: Redrive, after: int) -> None:
    """Run it, and end it without a word after so many turns of the loop: a crash."""
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await redrive.run(EVERYTHING)
            tasks.cancel_scope.cancel()

        tasks.start_soon(run)
        for _ in range(after):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def states(shelf: MemoryShelf) -> dict[str, State]:
    return {entry.letter.id: entry.standing.state async for entry in store_of(shelf).find(EVERYTHING)}  # type: ignore[union-attr]  # all of them can be read


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 12),
    objects=st.integers(1, 3),
    operators=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    max_events=st.integers(1, 5),
)
def test_cut_off_anywhere_and_beside_each_other_nobody_sends_a_letter_twice_and_none_is_lost(
    seed: int, count: int, objects: int, operators: list[int], max_events: int
) -> None:
    async def scenario() -> None:
        shelf, destination = MemoryShelf(), Destination(random.Random(seed))
        dead = letters(count)
        for number in range(objects):
            shelf.bury(dead[number::objects])

        async def operate(number: int, after: int) -> None:
            flow = flow_of(destination.sink(), max_events=max_events)
            await cut_off(Redrive(flow, store_of(shelf, f"run {number}")), after)

        async with anyio.create_task_group() as tasks:
            for number, after in enumerate(operators):
                tasks.start_soon(operate, number, after)
        for _ in range(3):  # and then one that nothing cuts off
            last = Redrive(flow_of(destination.sink(), max_events=max_events), store_of(shelf, "last"))
            await last.run(EVERYTHING)

        stand = await states(shelf)
        assert set(stand) == {letter.id for letter in dead}
        assert all(count == 1 for count in destination.arrived.values())
        for letter, state in stand.items():
            # what is noted as sent was, and what was sent is noted, or known to be in doubt
            if state is State.REDRIVEN:
                assert destination.arrived[letter] == 1
            else:
                assert state in (State.INTERRUPTED, State.FAILED)
                assert state is State.INTERRUPTED or not destination.arrived[letter]

    run_on_fake_clock(scenario)


def test_an_interrupted_letter_is_left_alone_until_someone_asks_for_it_again() -> None:
    async def scenario() -> None:
        shelf, sink = MemoryShelf(), ScriptedSink()
        (letter,) = letters(1)
        key = shelf.bury([letter])
        assert await store_of(shelf, "crashed").claims.claim(letter.letter, f"{key}.redrive/")

        await Redrive(flow_of(sink), store_of(shelf)).run(EVERYTHING)
        assert not sink.written
        assert await states(shelf) == {letter.id: State.INTERRUPTED}

        for _ in range(2):
            await Redrive(flow_of(sink), store_of(shelf), again=True).run(EVERYTHING)
            assert await states(shelf) == {letter.id: State.REDRIVEN}
        assert sink.written == [letter.id]

    run_on_fake_clock(scenario)


def test_of_many_who_ask_for_an_interrupted_letter_again_one_sends_it() -> None:
    async def scenario() -> None:
        shelf, sink = MemoryShelf(), ScriptedSink()
        (letter,) = letters(1)
        key = shelf.bury([letter])
        assert await store_of(shelf, "crashed").claims.claim(letter.letter, f"{key}.redrive/")
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(Redrive(flow_of(sink), store_of(shelf, str(number)), again=True).run, EVERYTHING)
        assert sink.written == [letter.id]

    run_on_fake_clock(scenario)


def test_a_letter_that_stands_in_two_objects_is_one_letter() -> None:
    async def scenario() -> None:
        shelf, sink = MemoryShelf(), ScriptedSink()
        dead = letters(3)
        shelf.bury(dead)
        shelf.bury(dead[1:])
        await Redrive(flow_of(sink), store_of(shelf)).run(EVERYTHING)
        shelf.bury(dead)  # a copy that comes later, beside which no marker lies
        await Redrive(flow_of(sink), store_of(shelf)).run(EVERYTHING)
        assert sorted(sink.written) == ["0", "1", "2"]

    run_on_fake_clock(scenario)
