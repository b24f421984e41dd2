"""Contract 1, at its worst: source, stages and sink fail in any order, and the fork ends at any moment. No event is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream import Drop, Event, Failure, PermanentError, Receipt, Refusal, TransientError, UnavailableError
from forkstream.flow.destination import RetryPolicy
from forkstream.letters import Letter
from forkstream.sources.memory import MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import (
    ScriptedAsyncStage,
    ScriptedObjectSink,
    ScriptedSink,
    ScriptedStage,
    events,
    fork_of,
    memory_source,
    running,
    threads_inline,
    until,
)

ERRORS: dict[str, Callable[[], BaseException]] = {
    "transient": lambda: TransientError("throttled"),
    "permanent": lambda: PermanentError("bad"),
    "unavailable": lambda: UnavailableError("denied"),
    "bug": ZeroDivisionError,
    "cancelled": asyncio.CancelledError,
    "group": lambda: ExceptionGroup("several", [TransientError("throttled"), ZeroDivisionError()]),
}


class Faults:
    """Gives its faults out in turn, then none."""

    def __init__(self, faults: Sequence[str]) -> None:
        self._faults = iter(faults)

    async def next(self) -> str:
        fault = next(self._faults, "ok")
        await anyio.sleep(1000 if fault == "hang" else 5 if fault == "slow" else 0.01)
        if fault in ERRORS:
            error = ERRORS[fault]()
            raise error
        return fault


def make_faulty(source: MemorySource, settling: Faults, receiving: Faults) -> None:
    """Let the source refuse, lose and garble."""
    receive, delete, hold = source.receive, source.delete, source.hold

    async def faulty_receive(limit: int, *, hold: float, wait: float) -> Any:
        fault = await receiving.next()
        return None if fault == "garbage" else await receive(limit, hold=hold, wait=0.0 if fault == "empty" else wait)

    async def settle(receipts: Sequence[Receipt], call: Callable[[Sequence[Receipt]], Any]) -> Any:
        fault = await settling.next()
        if fault in {"refuse", "lose"}:
            refused = [Refusal(receipt, lost=fault == "lose", code="refused") for receipt in receipts[::2]]
            return [*refused, *await call(receipts[1::2]), Refusal("foreign", lost=True, code="foreign")]
        return ["garbage"] if fault == "garbage" else await call(receipts)

    source.receive = faulty_receive  # type: ignore[method-assign]
    source.delete = lambda receipts: settle(receipts, delete)  # type: ignore[method-assign]
    source.hold = lambda receipts, seconds: settle(receipts, lambda some: hold(some, seconds))  # type: ignore[method-assign]


def faulty_sink(faults: Faults) -> ScriptedSink:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        match await faults.next():
            case "some-transient":
                return [Failure.transient(event, "busy") for event in batch[::2]]
            case "some-permanent":
                return [Failure.permanent(event, "bad") for event in batch[::3]]
            case "garbage":
                return "garbage"  # type: ignore[return-value]  # an author's bug
        return ()

    return ScriptedSink(script)


def faulty_stage(faults: Faults) -> ScriptedAsyncStage:
    async def script(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        answer: dict[Event, Event | Drop | Failure] = {event: event for event in chunk}
        match await faults.next():
            case "left-out":
                return {event: event for event in chunk[1:]}
            case "foreign":
                return answer | {Event(b"{}", id="foreign"): Drop("foreign")}
            case "some-transient":
                return answer | {event: Failure.transient(event, "busy") for event in chunk[::2]}
            case "garbage":
                return None  # type: ignore[return-value]  # an author's bug
        return answer

    return ScriptedAsyncStage(script)


def sanitise(event: Event) -> Event | Drop:
    number = int(event.id)
    if number % 11 == 3:
        return Drop("eleventh")
    if number % 13 == 5:
        raise PermanentError("thirteenth", "secret")
    return event.with_(body=b'{"clean":%d}' % number)


def faults(*kinds: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(["ok", *kinds]), max_size=12)


COMMON = ("hang", "transient", "permanent", "unavailable", "bug", "cancelled", "group", "garbage")


@pytest.mark.timeout(900)  # hundreds of forks, some of them through hours of outages
@settings(max_examples=300)
@given(
    sink_faults=faults(*COMMON, "slow", "some-transient", "some-permanent"),
    stage_faults=faults(*COMMON, "slow", "some-transient", "left-out", "foreign"),
    settle_faults=faults(*COMMON, "slow", "refuse", "lose"),
    receive_faults=faults(*COMMON, "slow", "empty"),
    letter_faults=faults(*COMMON, "slow", "some-transient", "some-permanent"),
    count=st.integers(0, 40),
    max_events=st.integers(1, 20),
    max_held=st.integers(1, 40),
    concurrency=st.integers(1, 3),
    partitions=st.integers(1, 3),
    groups=st.sampled_from([0, 0, 3]),
    max_elapsed=st.sampled_from([0.0, 300.0]),
    with_letters=st.booleans(),
    include=st.booleans(),
    objects=st.booleans(),
    pauses=st.lists(st.floats(0.1, 30), max_size=3),
    ends=st.sampled_from(["done", "drained", "cancelled"]),
    after=st.floats(0, 120),
)
def test_no_event_is_lost_nor_shown_in_the_clear_nor_deleted_early(  # one argument a dimension
    sink_faults: list[str],
    stage_faults: list[str],
    settle_faults: list[str],
    receive_faults: list[str],
    letter_faults: list[str],
    count: int,
    max_events: int,
    max_held: int,
    concurrency: int,
    partitions: int,
    groups: int,
    max_elapsed: float,
    with_letters: bool,
    include: bool,
    objects: bool,
    pauses: list[float],
    ends: str,
    after: float,
) -> None:
    letters, event_sink = faulty_sink(Faults(letter_faults)), faulty_sink(Faults(sink_faults))
    put_faults = Faults(sink_faults)

    async def put(call: int) -> None:
        await put_faults.next()

    object_sink = ScriptedObjectSink(put)
    sink = object_sink if objects and not groups else event_sink
    sink.partition = lambda event: f"{int(event.id) % partitions}/"  # type: ignore[method-assign]

    async def main() -> None:
        source = memory_source(events(count, groups=groups), ordered=bool(groups))
        make_faulty(source, Faults(settle_faults), Faults(receive_faults))
        fork = fork_of(
            source,
            sink,
            stages=[faulty_stage(Faults(stage_faults)), ScriptedStage(sanitise, sanitizes=True)],
            dead_letters=letters if with_letters else None,
            include_unsanitised=include,
            max_events=max_events,
            max_held_events=max_held,
            concurrency=concurrency,
            retry=RetryPolicy(max_elapsed=max_elapsed),
        )
        stays = (
            {str(n) for n in range(count) if n % 13 == 5 and n % 11 != 3} if not (with_letters and include) else set()
        )
        async with running(fork, drain_within=30) as tasks:
            for pause in pauses:
                fork.gate.pause(not fork.gate.paused)
                await anyio.sleep(pause)
            fork.gate.pause(False)
            if ends == "done" and not (groups and stays):  # poison that stays holds back its group
                await until(lambda: {event.id for event in source.waiting} <= stays, 7 * 86400)
                await until(lambda: {one.event.id for one in fork.custody.undecided()} <= stays)
            else:
                await anyio.sleep(after)
            if ends == "cancelled":
                tasks.cancel_scope.cancel()

        deleted = [event.id for event in source.settled]
        assert len(deleted) == len(set(deleted))
        assert sorted(deleted + [event.id for event in source.waiting], key=int) == [str(n) for n in range(count)]
        stored = [line for payload in object_sink.objects.values() for line in payload.data.splitlines()]
        bodies = stored + [event.body for event in event_sink.events]
        written = {body.removeprefix(b'{"clean":').removesuffix(b"}").decode() for body in bodies}
        buried = {event.id for event in letters.events}
        dropped = {str(n) for n in range(count) if n % 11 == 3}
        assert set(deleted) <= written | buried | dropped, "an event was deleted before its effect was durable"
        assert written <= {str(n) for n in range(count) if n % 13 != 5 and n % 11 != 3}
        if not include:
            assert all(Letter.decode(event.body).to_event().body.startswith(b'{"clean"') for event in letters.events)

    with pytest.MonkeyPatch.context() as patch:
        threads_inline(patch)
        run_on_fake_clock(main)
