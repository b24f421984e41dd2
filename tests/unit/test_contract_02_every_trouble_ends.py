"""Contract 2: a halted or probing fork receives nothing it shouldn't, and is itself again when its trouble is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Self

import anyio
import pytest

from forkstream import Event, Failure, PermanentError, Receipt, Refusal, TransientError, UnavailableError
from forkstream.flow.custody import Outcome
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.fork import Fork
from forkstream.flow.gate import State
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, events, fork_of, memory_source, receives_of, running, until


@pytest.mark.parametrize("error", [KeyError("halts"), TransientError("probes")], ids=["halted", "probing"])
def test_dead_letters_that_cannot_be_written_keep_no_fork_in_its_trouble(error: Exception) -> None:
    down = False

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if down:
            raise error
        return [Failure.permanent(event, "bad") for event in batch if event.id == "0"]

    async def denied(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise UnavailableError("denied")

    async def main() -> None:
        nonlocal down
        source = memory_source(events(5))
        fork = fork_of(
            source, ScriptedSink(script), dead_letters=ScriptedSink(denied), retry=RetryPolicy(max_elapsed=10)
        )
        async with running(fork, drain_within=10):
            await until(lambda: len(source.settled) == 4)
            down = True
            source.put(events(20, start=10))
            await anyio.sleep(600)
            assert fork.gate.troubled
            down = False
            await until(lambda: len(source.waiting) == 1)
            assert not fork.trouble

    run_on_fake_clock(main)


def test_a_check_that_hangs_ends_and_is_asked_again() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise KeyError("halts")
        return ()

    async def hangs() -> None:
        if not sink.healthy:
            await anyio.sleep_forever()

    sink = ScriptedSink(script)
    sink.check = hangs  # type: ignore[method-assign]

    async def main() -> None:
        source, letters = memory_source(events(20)), ScriptedSink()
        fork = fork_of(source, sink, dead_letters=letters)
        sink.healthy = False
        async with running(fork):
            await until(lambda: fork.gate.state is State.HALTED)
            await anyio.sleep(1800)
            sink.healthy = True
            await until(lambda: not source.waiting, 300)

    run_on_fake_clock(main)


def test_a_halted_fork_asks_neither_its_source_nor_its_dead_letters_whether_it_may_go_on() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise KeyError("halts")
        return ()

    async def denied() -> None:
        raise UnavailableError("denied")

    sink, letters = ScriptedSink(script), ScriptedSink()
    letters.check = denied  # type: ignore[method-assign]

    async def main() -> None:
        source = memory_source(events(20))
        source.check = denied  # type: ignore[method-assign]
        fork = fork_of(source, sink, dead_letters=letters)
        sink.healthy = False
        async with running(fork):
            await anyio.sleep(1800)
            sink.healthy = True
            await until(lambda: not source.waiting)

    run_on_fake_clock(main)


@pytest.mark.parametrize("state", [State.HALTED, State.PROBING, "paused"])
def test_receives_that_waited_for_room_see_that_the_fork_is_in_trouble_by_then(state: object) -> None:
    mended = False

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(10)
        return () if mended else [Failure.permanent(event, "bad") for event in batch]

    def trouble(fork: Fork) -> None:
        if state == "paused":
            fork.gate.pause(True)
        elif state is State.HALTED:
            fork.gate.halt(UnavailableError("denied"))
        else:
            fork.gate.probe("outage")

    async def main() -> None:
        nonlocal mended
        source = memory_source(events(500))
        fork = fork_of(source, ScriptedSink(script), max_held_events=40, max_dead_ratio=1.0)
        async with running(fork):
            await until(lambda: fork.budget.refusing)
            trouble(fork)
            received = fork.meter.received_total
            await until(lambda: fork.settlement.settled[Outcome.RETRY] >= 40)
            assert fork.meter.received_total <= received + 3  # the probes
            mended = True
            fork.gate.pause(False)
            await until(lambda: not source.waiting)

    run_on_fake_clock(main)


def test_in_trouble_what_is_held_is_sent_on_at_once_to_see_whether_it_is_over() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise TransientError("connection")
        return ()

    sink = ScriptedSink(script)

    async def main() -> None:
        source = memory_source(events(100))
        fork = fork_of(source, sink, max_events=1000, max_age=900, retry=RetryPolicy(max_elapsed=30))
        sink.healthy = False
        async with running(fork):
            await until(lambda: fork.gate.state is State.PROBING)
            await anyio.sleep(600)
            sink.healthy = True
            await until(lambda: fork.gate.state is State.OPEN, 60)

    run_on_fake_clock(main)


@pytest.mark.unmeasured
@pytest.mark.parametrize("call", ["delete", "hold"])
def test_a_source_that_refuses_to_settle_is_received_from_no_more_until_it_is_mended(call: str) -> None:
    """Its receipts may run out meanwhile: one event at a time then shows whether it is mended."""
    denied = True

    async def script(batch: Sequence[Event], number: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad") for event in batch] if call == "hold" else ()

    async def main() -> None:
        nonlocal denied
        source = memory_source(events(100))
        source.hold_limit = 1000.0
        settle = getattr(source, call)

        async def refuse(receipts: Sequence[Receipt], *seconds: float) -> Collection[Refusal]:
            if denied:
                raise UnavailableError("denied", "sqs:DeleteMessage")
            refusals: Collection[Refusal] = await settle(receipts, *seconds)
            return refusals

        setattr(source, call, refuse)
        fork = fork_of(source, ScriptedSink(script), max_dead_ratio=1.0, max_held_events=50)
        async with running(fork):
            await until(lambda: fork.trouble)
            assert fork.trouble is not None
            assert fork.trouble.detail == "sqs:DeleteMessage"
            await anyio.sleep(2000)
            assert not fork.stalled(120)
            assert max(receives_of(source)) <= 6
            denied = False
            await until(lambda: not fork.trouble, 1200)
            if call == "delete":
                await until(lambda: not source.waiting)

    run_on_fake_clock(main)


def test_a_detail_that_may_quote_an_event_is_shown_to_nobody() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise PermanentError("bad", "card 4111111111111111")

    async def main() -> None:
        source = memory_source(events(10))
        fork = fork_of(source, ScriptedSink(script), dead_letters=ScriptedSink())
        async with running(fork, drain_within=10):
            await until(lambda: fork.trouble)
            assert "4111" not in repr(fork.trouble)

    run_on_fake_clock(main)


def test_what_keeps_a_fork_from_opening_is_told_whatever_its_kind() -> None:
    class Stubborn(ScriptedSink):
        async def __aenter__(self) -> Self:
            raise PermanentError("rejected", "CreateIndex on orders: 400")

    async def main() -> None:
        fork = fork_of(memory_source(events(1)), Stubborn())
        async with running(fork, drain_within=10):
            await until(lambda: fork.trouble)
            assert fork.trouble
            # no event was there yet that a detail could quote
            assert (fork.trouble.code, fork.trouble.detail) == ("rejected", "CreateIndex on orders: 400")

    run_on_fake_clock(main)
