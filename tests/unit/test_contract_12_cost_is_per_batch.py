"""Contract 12: no task, log line, metric update or stream send per event, however many events there are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from forkstream import Event, Failure, TransientError, UnavailableError
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, turns_of, until

EVENTS = 5000
RECEIVES = EVENTS // 10


@pytest.mark.unmeasured
def test_five_thousand_events_cost_what_their_receives_and_batches_cost() -> None:
    counts: Counter[str] = Counter()

    def counting(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        counts["tasks"] += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        source, sink = memory_source(events(EVENTS)), ScriptedSink()
        fork = fork_of(source, sink, stages=[ScriptedStage(lambda event: event)], max_events=500)
        for name in ("received", "closed", "written", "decided", "failed", "rendered", "dropped"):
            _count(fork.meter, name, counts)
        asyncio.get_running_loop().set_task_factory(counting)  # type: ignore[arg-type]  # typeshed wants a generic protocol
        async with running(fork):
            await until(lambda: not source.waiting)

    with capture_logs() as logs:
        run_on_fake_clock(main)
    batches = EVENTS // 500 + 2
    assert counts["tasks"] < 50 + 10 * batches, counts
    assert counts["received"] <= RECEIVES + 20
    assert sum(counts[name] for name in counts if name not in {"received", "tasks"}) < 10 * batches
    assert not logs


@pytest.mark.unmeasured
def test_failures_are_logged_by_code_and_count() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "busy") for event in batch] if call < 20 else ()

    async def main() -> None:
        source = memory_source(events(1000))
        async with running(fork_of(source, ScriptedSink(script), max_events=1000)):
            await until(lambda: not source.waiting)

    with capture_logs() as logs:
        run_on_fake_clock(main)
    assert 1 <= len(logs) < 40
    assert sum(line["events"] for line in logs) == 19 * 1000


def test_failures_of_many_batches_share_their_log_lines_and_metric_updates() -> None:
    counts: Counter[str] = Counter()

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "busy") for event in batch] if call <= 100 else ()

    async def main() -> None:
        source = memory_source(events(1000))
        fork = fork_of(source, ScriptedSink(script), concurrency=100)
        _count(fork.meter, "failed", counts)
        async with running(fork):
            await until(lambda: not source.waiting)

    with capture_logs() as logs:
        run_on_fake_clock(main)
    assert sum(line["events"] for line in logs) == 1000
    assert len(logs) < 20
    assert counts["failed"] == 100, "once an attempt"


def _count(target: object, name: str, counts: Counter[str]) -> None:
    call: Callable[..., object] = getattr(target, name)

    def counted(*args: object, **kwargs: object) -> object:
        counts[name] += 1
        return call(*args, **kwargs)

    setattr(target, name, counted)


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "state",
    [
        "idle",
        "paused",
        "halted",
        "probing",
        "too many dead",
        "no room",
        "source down",
        "source denied",
        "deletes denied",
    ],
)
def test_a_fork_that_waits_costs_next_to_nothing(state: str) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if state == "halted":
            raise UnavailableError("denied")
        if state == "probing":
            raise TransientError("busy")
        if state == "no room":
            await anyio.sleep(50)
        return [Failure.permanent(event, "bad") for event in batch] if state == "too many dead" else ()

    async def main() -> None:
        source = memory_source(events(0 if state == "idle" else 1000))
        if state == "source down":
            source.receive = _raising(TransientError("connection"))  # type: ignore[method-assign]
        if state == "source denied":
            source.receive = _raising(UnavailableError("denied"))  # type: ignore[method-assign]
        if state == "deletes denied":
            source.delete = _raising(UnavailableError("denied"))  # type: ignore[method-assign]
        fork = fork_of(source, ScriptedSink(script), max_held_events=20, paused=state == "paused")
        async with running(fork, drain_within=1):
            await anyio.sleep(3600)

    with capture_logs() as logs:
        turns = turns_of(main)
    assert turns < 3600 * 20
    assert len(logs) < 3600 / 10 * 3


def _raising(error: Exception) -> Callable[..., Any]:
    async def call(*_: object, **__: object) -> Any:
        raise error

    return call
