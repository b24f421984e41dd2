"""What tests of the flow are made of: a fork with a source in memory, stages and sinks that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from forkstream import (
    AsyncStage,
    BatchDefaults,
    Context,
    Drop,
    Event,
    EventSink,
    EventStage,
    Failure,
    ObjectSink,
    Payload,
    Settings,
)
from forkstream.flow.batcher import Limits
from forkstream.flow.chain import Step
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.flow import Flow
from forkstream.flow.fork import Fork
from forkstream.flow.outlet import DeadLetterOutlet, Outlet
from forkstream.formats import Format
from forkstream.metrics import Metrics
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.telemetry import Meter
from forkstream.testing.clock import FakeClockLoop

CONTEXT = Context(fork="test")
Script = Callable[[Sequence[Event], int], Awaitable[Collection[Failure]]]


def events(count: int, *, start: int = 0, groups: int = 0, size: int = 0) -> list[Event]:
    """Events named "0", "1", …; in ``groups`` groups, dealt in turn; with bodies of at least ``size`` bytes."""
    return [
        Event(
            b'{"n":%d,"fill":"%s"}' % (number, b"x" * size),
            id=str(number),
            group=f"g{number % groups}" if groups else None,
        )
        for number in range(start, start + count)
    ]


class ScriptedSink(EventSink[Settings]):
    """Calls ``script(events, call)`` for each write; what it doesn't name as failed goes into ``written``, in order."""

    batch_defaults = BatchDefaults()

    def __init__(self, script: Script | None = None, *, ordered: bool = True) -> None:
        super().__init__(Settings(), CONTEXT)
        self.ordered = ordered
        self.script = script
        self.calls = 0
        self.batches: list[list[str]] = []
        self.written: list[str] = []
        self.events: list[Event] = []
        self.partitions: Callable[[Event], str] = lambda _: ""
        self.healthy = True

    def partition(self, event: Event) -> str:
        return self.partitions(event)

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        self.calls += 1
        self.batches.append([event.id for event in events])
        failures: Collection[Failure] = ()
        if self.script:
            failures = await self.script(events, self.calls)
        failed = {failure.event for failure in failures}
        self.events += [event for event in events if event not in failed]
        self.written += [event.id for event in events if event not in failed]
        return failures


class ScriptedStage(EventStage[Settings]):
    """Calls ``script`` for each event."""

    def __init__(self, script: Callable[[Event], Event | Drop], *, sanitizes: bool = False) -> None:
        super().__init__(Settings(), CONTEXT)
        self.script = script
        self.sanitizes = sanitizes  # type: ignore[misc]  # a constant of real stages, a choice of this one

    def __call__(self, event: Event) -> Event | Drop:
        return self.script(event)


class ScriptedAsyncStage(AsyncStage[Settings]):
    """Calls ``script(events, call)`` for each chunk."""

    def __init__(
        self, script: Callable[[Sequence[Event], int], Awaitable[Mapping[Event, Event | Drop | Failure]]]
    ) -> None:
        super().__init__(Settings(), CONTEXT)
        self.script = script
        self.calls = 0

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:
        self.calls += 1
        return await self.script(events, self.calls)


class ScriptedObjectSink(ObjectSink[Settings]):
    """Awaits ``script(call)`` for each put; ``puts`` lists all that was asked for, ``objects`` what was stored."""

    def __init__(self, script: Callable[[int], Awaitable[None]] | None = None) -> None:
        super().__init__(Settings(), CONTEXT)
        self.script = script
        self.puts: list[tuple[str, int]] = []
        self.objects: dict[str, Payload] = {}

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        self.puts.append((key, attempt))
        if self.script:
            await self.script(len(self.puts))
        self.objects[key] = payload


def threads_inline(patch: pytest.MonkeyPatch) -> None:
    """Let what a fork does in worker threads happen at once: on a fake clock nobody could wait for a thread."""

    async def run_sync(call: Callable[[], object], **_: object) -> object:
        return call()

    patch.setattr(anyio.to_thread, "run_sync", run_sync)


def turns_of(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run ``main()`` on a fake clock; returns how many times the event loop went round."""
    turns = 0

    class Counting(FakeClockLoop):
        def _run_once(self) -> None:
            nonlocal turns
            turns += 1
            super()._run_once()  # type: ignore[misc]  # not in typeshed

    with asyncio.Runner(loop_factory=Counting) as runner:
        runner.run(main())
    return turns


def memory_source(put: Iterable[Event] = (), *, ordered: bool = False) -> MemorySource:
    """A source in memory that holds these events."""
    source = MemorySource(MemoryConfig(ordered=ordered), CONTEXT)
    source.put(put)
    return source


def receives_of(source: MemorySource) -> list[int]:
    """How often each event that is not deleted was received: a queue's redrive goes by that."""
    return [message.receives for message in source._messages.values()]


def fork_of(
    source: MemorySource,
    sink: EventSink[Any] | ObjectSink[Any],
    *,
    stages: Sequence[EventStage[Any] | AsyncStage[Any]] = (),
    dead_letters: EventSink[Any] | None = None,
    max_events: int = 10,
    max_bytes: int = 2**20,
    max_age: float = 1.0,
    max_open: int = 100,
    include_unsanitised: bool = False,
    **flow: Any,
) -> Fork:
    """A fork with small batches; build it inside the running loop."""
    render = Format().render
    return Fork(
        Flow(
            name="test",
            source=source,
            steps=[Step(f"stages[{n}].scripted", stage) for n, stage in enumerate(stages)],
            outlet=Outlet(sink=sink, render=render),
            dead_letters=DeadLetterOutlet(sink=dead_letters, render=render, include_unsanitised=include_unsanitised)
            if dead_letters
            else None,
            limits=Limits(max_events=max_events, max_bytes=max_bytes, max_age=max_age, max_open=max_open),
            **{"retry": RetryPolicy(), **flow},
        ),
        Meter(Metrics(), "test"),
    )


async def until(condition: Callable[[], object], limit: float = 3600.0) -> None:
    """Wait for a condition, in seconds of the loop's clock; fails the test when the limit is over. What takes hours is looked at less often."""
    with anyio.fail_after(limit):
        began = anyio.current_time()
        while not condition():
            await anyio.sleep(max(0.5, (anyio.current_time() - began) / 100))


@asynccontextmanager
async def running(fork: Fork, *, drain_within: float = 3600.0):  # type: ignore[no-untyped-def]
    """Run a fork for the block, then drain it; gives the block the task group, to cancel it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fork.run)
        yield tasks
        fork.drain(anyio.current_time() + drain_within)
