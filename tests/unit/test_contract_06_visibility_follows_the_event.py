"""Contract 6: events stay hidden from other consumers until they are settled, however long their batch takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress

import anyio
import pytest

from forkstream import Event, Failure, Receipt, Refusal, TransientError
from forkstream.flow.custody import Custody, Held, Outcome
from forkstream.flow.destination import RetryPolicy
from forkstream.sources.memory import MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import Script, ScriptedSink, events, fork_of, memory_source, receives_of, running, until


def test_a_receive_hides_for_the_batchs_age_and_the_write_but_never_for_long() -> None:
    async def main() -> None:
        short = fork_of(memory_source(), ScriptedSink(), max_age=30, retry=RetryPolicy(write_timeout=60))
        long = fork_of(memory_source(), ScriptedSink(), max_age=900, retry=RetryPolicy(write_timeout=60))
        assert short.custody.hold == 90
        assert long.custody.hold == 300
        for fork in (short, long):
            fork.drain()
            await fork.run()

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_an_event_that_waits_for_its_batch_is_received_once() -> None:
    async def main() -> None:
        source, sink = memory_source(events(25)), ScriptedSink()
        async with running(fork_of(source, sink, max_events=1000, max_age=2 * 3600)):
            await until(lambda: not source.waiting, 3 * 3600)
        assert Counter(sink.written) == Counter(map(str, range(25)))
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_an_event_in_a_long_retry_is_received_once() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if anyio.current_time() < 6000:
            raise TransientError("busy")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(10)), ScriptedSink(script)
        async with running(fork_of(source, sink, retry=RetryPolicy(max_elapsed=7200))):
            await until(lambda: not source.waiting, 9000)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_half_of_the_visibility_is_left_when_it_is_extended() -> None:
    async def main() -> None:
        source = memory_source(events(10))
        extended_at: list[float] = []
        hold = source.hold

        async def noted(receipts: Sequence[object], seconds: float) -> object:
            extended_at.append(anyio.current_time())
            return await hold(receipts, seconds)

        source.hold = noted  # type: ignore[method-assign,assignment]
        fork = fork_of(source, ScriptedSink(), max_events=1000, max_age=1000, retry=RetryPolicy(write_timeout=60))
        async with running(fork):
            await until(lambda: not source.waiting, 2000)
        gaps = [later - sooner for sooner, later in zip([0.0, *extended_at], extended_at, strict=False)]
        assert len(gaps) == 6
        assert all(140 <= gap <= 160 for gap in gaps)

    run_on_fake_clock(main)


@pytest.mark.parametrize("how", ["raises", "refuses"])
def test_a_failed_extension_is_tried_again_while_there_is_time(how: str) -> None:
    async def main() -> None:
        source, sink = memory_source(events(10)), ScriptedSink()
        hold, calls = source.hold, Counter[str]()

        async def shaky(receipts: Sequence[object], seconds: float) -> object:
            calls["hold"] += 1
            if calls["hold"] % 20:
                if how == "refuses":
                    return [Refusal(receipt, lost=False, code="throttled") for receipt in receipts]
                raise TransientError("throttled")
            return await hold(receipts, seconds)

        source.hold = shaky  # type: ignore[method-assign,assignment]
        async with running(fork_of(source, sink, max_events=1000, max_age=1000)):
            await until(lambda: not source.waiting, 2000)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_no_event_is_to_be_hidden_beyond_the_sources_limit() -> None:
    """SQS refuses what would hide a message for more than 12 hours in all: the last extension is shorter."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if anyio.current_time() < 780:  # after the last extension, and well before events are let go of
            raise TransientError("busy")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(5)), ScriptedSink(script)
        source.hold_limit = 1000.0
        hold, hidden_until = source.hold, list[float]()

        async def strict(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            assert receipts
            hidden_until.append(anyio.current_time() + seconds)
            return await hold(receipts, seconds)

        source.hold = strict  # type: ignore[method-assign]
        async with running(fork_of(source, sink, retry=RetryPolicy(max_elapsed=7200, write_timeout=299))):
            await until(lambda: not source.waiting, 2000)
        assert {event.receive_count for event in sink.events} == {1}
        assert 900 < max(hidden_until) <= 1000

    run_on_fake_clock(main)


def noting(source: MemorySource) -> list[int]:
    """How many events each extension is asked for, from now on."""
    hold, asked = source.hold, list[int]()

    async def noted(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        asked.append(len(receipts))
        return await hold(receipts, seconds)

    source.hold = noted  # type: ignore[method-assign]
    return asked


def test_the_events_of_many_receives_are_extended_together() -> None:
    async def main() -> None:
        source = memory_source(events(30))
        asked = noting(source)
        async with running(fork_of(source, ScriptedSink(), max_events=1000, max_age=1000)):
            await until(lambda: not source.waiting, 2000)
        assert set(asked) == {30}

    run_on_fake_clock(main)


def test_what_came_one_by_one_is_extended_in_full_requests() -> None:
    async def main() -> None:
        source = memory_source()
        source.max_settle = 10
        asked = noting(source)
        async with running(fork_of(source, ScriptedSink(), max_events=1000, max_age=1000)):
            for event in events(20):
                source.put([event])
                await anyio.sleep(3)
            await until(lambda: not source.waiting, 2000)
        assert set(asked) == {10}

    run_on_fake_clock(main)


def test_a_short_batch_and_a_short_write_still_leave_time_to_extend() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if anyio.current_time() < 60:
            raise TransientError("busy")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(3)), ScriptedSink(script)
        async with running(fork_of(source, sink, max_age=0.01, retry=RetryPolicy(write_timeout=0.5))):
            await until(lambda: not source.waiting)
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_what_waits_to_be_shown_again_is_not_hidden_for_longer() -> None:
    async def busy(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise TransientError("busy")

    async def main() -> None:
        source = memory_source(events(5))
        fork = fork_of(source, ScriptedSink(busy), retry=RetryPolicy(max_elapsed=0))
        extended = list[float]()

        async def releases_nothing(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            if seconds == fork.custody.hold:
                extended.append(anyio.current_time())
                return []
            raise TransientError("throttled")

        source.hold = releases_nothing  # type: ignore[method-assign]
        async with running(fork, drain_within=1):
            await until(lambda: fork.settlement.settled[Outcome.RETRY] == 5)
            await anyio.sleep(50)
        assert extended == []

    run_on_fake_clock(main)


def busy_until(time: float) -> Script:
    async def script(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        if anyio.current_time() < time:
            raise TransientError("busy")
        return ()

    return script


def test_an_extension_whose_answer_is_lost_is_asked_for_again_while_there_is_time() -> None:
    async def main() -> None:
        source, sink = memory_source(events(1)), ScriptedSink(busy_until(250))
        hold, calls = source.hold, Counter[str]()

        async def lossy(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            calls["hold"] += 1
            if calls["hold"] % 2:
                await anyio.sleep_forever()
            return await hold(receipts, seconds)

        source.hold = lossy  # type: ignore[method-assign]
        async with running(fork_of(source, sink)):
            await until(lambda: calls["hold"] > 4)
            assert receives_of(source) == [1]

    run_on_fake_clock(main)


def test_what_cannot_be_shown_again_keeps_no_other_event_from_being_extended() -> None:
    async def main() -> None:
        source = memory_source(events(3))
        fork = fork_of(source, ScriptedSink())
        hold, custody = source.hold, fork.custody

        async def lossy(receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
            if seconds != custody.hold:
                await anyio.sleep_forever()
            return await hold(receipts, seconds)

        source.hold = lossy  # type: ignore[method-assign]
        held = custody.take(await source.receive(3, hold=custody.hold, wait=0), anyio.current_time())
        async with anyio.create_task_group() as tasks:
            for one, seconds in zip(held[:2], (2, 5), strict=True):
                one.outcome = Outcome.RETRY
                tasks.start_soon(_try_to_show_again, custody, one, seconds)
            tasks.start_soon(custody.run)
            await anyio.sleep(100)
            tasks.cancel_scope.cancel()
        assert [event.id for event, _ in await source.receive(3, hold=0, wait=0)] == ["0", "1"]
        custody.forget(held)
        fork.drain()
        await fork.run()

    run_on_fake_clock(main)


async def _try_to_show_again(custody: Custody, held: Held, seconds: float) -> None:
    with suppress(TransientError):
        await custody.show_again([held.receipt], seconds)
