"""Contract 3: whatever a plugin is asked, its answer is awaited for a bounded time; and a wait is told from a stall."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import anyio
import pytest

from forkstream import Drop, Event, Failure, TransientError, UnavailableError
from forkstream.flow.destination import RetryPolicy
from forkstream.service import STALL_SECONDS
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedAsyncStage, ScriptedSink, events, fork_of, memory_source, running, until


async def for_ever(*_: object, **__: object) -> Any:
    await anyio.sleep_forever()


@pytest.mark.parametrize("call", ["receive", "delete", "hold", "backlog"])
def test_a_source_that_does_not_answer_is_asked_again(call: str) -> None:
    async def busy(batch: Sequence[Event], number: int) -> Collection[Failure]:
        if number == 1:
            raise TransientError("busy")
        return ()

    async def main() -> None:
        source = memory_source(events(20))
        source.in_flight_limit = 10
        asked = getattr(source, call)
        calls = 0

        async def hangs_once(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return await (for_ever() if calls == 1 else asked(*args, **options))

        setattr(source, call, hangs_once)
        async with running(fork_of(source, ScriptedSink(busy), max_age=60, retry=RetryPolicy(max_elapsed=0))):
            await until(lambda: not source.waiting, 600)
            await until(lambda: calls > 1)

    run_on_fake_clock(main)


def test_a_stage_that_does_not_answer_is_asked_again() -> None:
    async def script(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        if call == 1:
            await anyio.sleep_forever()
        return {event: event for event in chunk}

    async def main() -> None:
        source, sink = memory_source(events(10)), ScriptedSink()
        async with running(fork_of(source, sink, stages=[ScriptedAsyncStage(script)])):
            await until(lambda: not source.waiting, 70)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_a_plugin_that_does_not_open_is_a_declared_trouble_and_opened_again() -> None:
    class Slow(ScriptedSink):
        opened = 0

        async def __aenter__(self) -> Self:
            self.opened += 1
            if self.opened < 3:
                await anyio.sleep_forever()
            return self

    async def main() -> None:
        source, sink = memory_source(events(3)), Slow()
        fork = fork_of(source, sink)
        async with running(fork):
            await until(lambda: fork.trouble, 61)
            assert fork.trouble is not None
            assert fork.trouble.code == "timeout"
            await until(lambda: not source.waiting, 120)

    run_on_fake_clock(main)


def raising(error: Exception) -> Callable[..., Any]:
    async def call(*_: object, **__: object) -> Any:
        raise error

    return call


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "wait",
    [
        "source down",
        "sink asks for time",
        "letters denied",
        "letters failing",
        "deletes failing",
        "stage hangs",
        "paused",
    ],
)
def test_a_fork_that_waits_for_a_reason_is_not_stalled(wait: str) -> None:
    """What is stalled is restarted, which mends none of these."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if wait == "sink asks for time":
            raise TransientError("throttled", retry_after=1800)
        return [Failure.permanent(event, "bad") for event in batch] if wait.startswith("letters") else ()

    async def main() -> None:
        source = memory_source(events(100))
        if wait == "source down":
            source.receive = raising(TransientError("connection"))  # type: ignore[method-assign]
        if wait == "deletes failing":
            source.delete = raising(TransientError("connection"))  # type: ignore[method-assign]
        fork = fork_of(
            source,
            ScriptedSink(script),
            stages=[ScriptedAsyncStage(for_ever)] if wait == "stage hangs" else [],
            dead_letters=ScriptedSink(
                raising(UnavailableError("denied") if "denied" in wait else TransientError("busy"))
            ),
            max_held_events=20,
            max_dead_ratio=1.0,
            retry=RetryPolicy(max_elapsed=7200),
            paused=wait == "paused",
        )
        async with running(fork, drain_within=10):
            for _ in range(120):
                await anyio.sleep(17)
                assert not fork.stalled(STALL_SECONDS)

    run_on_fake_clock(main)


@pytest.mark.parametrize("hangs", ["receive", "writer"])
def test_a_fork_that_hangs_by_a_bug_of_the_runtime_is_stalled(hangs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        source = memory_source(events(100))
        fork = fork_of(source, ScriptedSink(), max_held_events=20)
        if hangs == "receive":
            monkeypatch.setattr("forkstream.flow.intake.Intake._receive", for_ever)
        else:
            monkeypatch.setattr("forkstream.flow.fork.deliver", for_ever)
        async with running(fork, drain_within=10):
            await until(lambda: fork.stalled(STALL_SECONDS), 300)

    run_on_fake_clock(main)


def test_a_stage_that_may_take_as_long_as_a_write_is_no_stall() -> None:
    """A Lambda function may take a quarter of an hour."""

    async def slow(chunk: Sequence[Event], _call: int) -> Mapping[Event, Event]:
        await anyio.sleep(800)
        return {event: event for event in chunk}

    async def main() -> None:
        source = memory_source(events(3))
        retry = RetryPolicy(write_timeout=900)
        fork = fork_of(source, ScriptedSink(), stages=[ScriptedAsyncStage(slow)], retry=retry)
        async with running(fork):
            while source.waiting:
                await anyio.sleep(17)
                assert not fork.stalled(STALL_SECONDS)

    run_on_fake_clock(main)
