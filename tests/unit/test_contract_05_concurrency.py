"""Contract 5, at volume: as many writes under way as the sink takes without slowing down or refusing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest
from prometheus_client import generate_latest

from forkstream import Event, Failure, TransientError
from forkstream.flow.fork import Fork
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, events, fork_of, memory_source, running, until


class Places:
    """A sink's script: each write takes a tenth of a second; beyond ``places`` at once they share, or are refused."""

    def __init__(self, places: int, *, refuses: bool = False) -> None:
        self.places = places
        self.refuses = refuses
        self.now = 0
        self.most = 0

    async def __call__(self, batch: Sequence[Event], call: int) -> Collection[Failure]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.refuses and self.now > self.places:
                raise TransientError("throttled")
            await anyio.sleep(0.1 * max(1.0, self.now / self.places))
        finally:
            self.now -= 1
        return ()


def busy_fork(script: Places, concurrency: int | None = None) -> Fork:
    return fork_of(
        memory_source(events(4000)), ScriptedSink(script), max_held_events=2000, max_age=0.05, concurrency=concurrency
    )


def changes(fork: Fork, reason: str) -> float:
    labels = {"fork": "test", "reason": reason}
    return fork.meter._metrics.registry.get_sample_value("forkstream_concurrency_changes_total", labels) or 0.0


def test_a_sink_that_takes_more_gets_more() -> None:
    async def main() -> None:
        script = Places(1000)
        fork = busy_fork(script)
        async with running(fork):
            await until(lambda: not fork.budget.events and len(fork.flow.source.settled) == 4000)  # type: ignore[attr-defined]
        assert script.most >= 12
        assert changes(fork, "room") >= 8
        assert (fork.concurrency.reason, fork.concurrency.limit) == ("room", script.most)

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_a_sink_that_slows_down_gets_fewer() -> None:
    async def main() -> None:
        script = Places(3)
        fork = busy_fork(script)
        async with running(fork):
            await until(lambda: script.now, 10)
            await anyio.sleep(20)
            assert changes(fork, "slow") >= 1
            assert script.most <= 10
            assert fork.writing <= fork.concurrency.limit <= 10

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_a_sink_that_refuses_gets_fewer_and_no_event_is_lost() -> None:
    async def main() -> None:
        script = Places(6, refuses=True)
        fork = busy_fork(script)
        async with running(fork):
            await until(lambda: len(fork.flow.source.settled) == 4000)  # type: ignore[attr-defined]
        assert script.most <= 8
        assert changes(fork, "refused") >= 1
        assert b"forkstream_concurrency" in generate_latest(fork.meter._metrics.registry)

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_a_given_number_is_kept() -> None:
    async def main() -> None:
        for script in (Places(1000), Places(1, refuses=True)):
            fork = busy_fork(script, concurrency=4)
            async with running(fork):
                await anyio.sleep(5)
                assert fork.concurrency.limit == 4 >= script.most
            assert fork.concurrency.reason == "fixed"

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_one_event_that_keeps_failing_takes_no_slot_from_the_others() -> None:
    async def hot(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(0.1)
        return [Failure.transient(event, "hot_key") for event in batch if event.id == "0" and len(batch) > 1]

    async def main() -> None:
        source = memory_source(events(4000))
        fork = fork_of(source, ScriptedSink(hot), max_events=20, max_held_events=2000)
        async with running(fork):
            await until(lambda: len(source.settled) == 4000)
        assert changes(fork, "refused") == 0

    run_on_fake_clock(main)
