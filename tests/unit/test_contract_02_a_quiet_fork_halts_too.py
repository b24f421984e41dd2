"""Contract 2: too many dead are seen in a quiet fork too, and a healthy one with long batches is left alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest

from forkstream import Event, Failure, PermanentError
from forkstream.flow.dead_ratio import DeadRatio
from forkstream.flow.gate import TOO_MANY_DEAD
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until


@pytest.mark.parametrize("before", [0, 500])
@pytest.mark.parametrize("where", ["stage", "sink"])
@pytest.mark.unmeasured
def test_a_wrong_mapping_halts_a_quiet_fork(where: str, before: int) -> None:
    def stage(event: Event) -> Event:
        if where == "stage" and int(event.id) >= before:
            raise PermanentError("wrong_shape")
        return event

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "mapping") for event in batch if int(event.id) >= before]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(before))
        fork = fork_of(source, ScriptedSink(script), stages=[ScriptedStage(stage)], dead_letters=letters)
        async with running(fork, drain_within=1):
            await until(lambda: not source.waiting)
            for number in range(before, before + 100):
                source.put(events(1, start=number))
                await anyio.sleep(8)
            assert fork.trouble is not None
            assert fork.trouble.code == TOO_MANY_DEAD
            assert len(letters.written) <= 12

    run_on_fake_clock(main)


@pytest.mark.parametrize("where", ["stage", "sink"])
@pytest.mark.unmeasured
def test_a_healthy_fork_with_long_batches_is_not_halted(where: str) -> None:
    """Its good events are counted only when their batch is written, minutes after some of its others died."""

    def stage(event: Event) -> Event:
        if where == "stage" and int(event.id) % 20 == 0:
            raise PermanentError("wrong_shape")
        return event

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad") for event in batch if int(event.id) % 20 == 0]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source()
        fork = fork_of(
            source,
            ScriptedSink(script),
            stages=[ScriptedStage(stage)],
            dead_letters=letters,
            max_events=10_000,
            max_age=300.0,
        )
        async with running(fork):
            for second in range(900):
                source.put(events(2, start=2 * second))
                await anyio.sleep(1)
                assert not fork.trouble
        assert len(letters.written) == 90

    run_on_fake_clock(main)


def test_the_last_hundred_count_where_a_minute_brought_fewer() -> None:
    ratio = DeadRatio(0.1, 10)
    ratio.count(1000, 0, 0.0)
    died = 0
    while ratio.allows(1, 100.0 + 60 * died):
        died += 1
    assert died == 10, "beside 89 of the thousand the eleventh is too many"
    ratio.count(1000, 0, 10_000.0)
    assert ratio.allows(10, 20_000.0), "those that died before are forgotten"
