"""A plugin that cancels a task that is not its own, as the fork ends, takes no other fork with it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import anyio
import pytest

from forkstream import Event, Failure, Receipt, Refusal
from forkstream.flow.batcher import Limits
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.service import Service
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import CONTEXT, ScriptedSink, events, memory_source, until


class Cancelling(MemorySource):
    """Cancels whoever asks it to release events."""

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        if seconds == 0:
            task = asyncio.current_task()
            assert task
            task.cancel()
            await anyio.sleep(1)
        return await super().hold(receipts, seconds)


async def for_ever(batch: Sequence[Event], call: int) -> Collection[Failure]:
    await anyio.sleep_forever()
    return ()


async def slowly(batch: Sequence[Event], call: int) -> Collection[Failure]:
    await anyio.sleep(8)
    return ()


def flow_of(name: str, source: MemorySource, sink: ScriptedSink) -> Flow:
    limits = Limits(max_events=10, max_bytes=2**20, max_age=1.0)
    return Flow(name=name, source=source, outlet=Outlet(sink=sink, render=Format().render), limits=limits)


@pytest.mark.parametrize("after", [0.0, 2.0])
def test_a_release_that_is_cancelled_ends_its_own_fork_alone(after: float) -> None:
    async def main() -> None:
        source, other = Cancelling(MemoryConfig(), CONTEXT), memory_source()
        source.put(events(3))
        bad = flow_of("bad", source, ScriptedSink(for_ever))
        good = flow_of("good", other, sink := ScriptedSink(slowly))
        service = Service([bad, good], stop_timeout=30)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await anyio.sleep(2)
            other.put(events(5))
            await until(lambda: sink.calls)
            service.forks["bad"].drain(anyio.current_time() + after)
            if after:
                service.stop()
            await until(lambda: service.forks["bad"].ended)
            await until(lambda: sink.written, 20)
            if not after:
                service.stop()
        assert [event.id for event in other.settled] == [str(n) for n in range(5)]

    run_on_fake_clock(main)
