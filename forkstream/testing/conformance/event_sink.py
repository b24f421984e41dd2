"""The conformance suite of event sinks."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import ClassVar

import msgspec
import pytest

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event, Failure, FailureKind
from forkstream.ports import EventSink
from forkstream.settings import Settings
from forkstream.testing.cancellation import TURNS, cancel_after
from forkstream.testing.conformance.checks import (
    forget_turns,
    longest_turn,
    picture,
    require_kind,
    require_stable_code,
)
from forkstream.testing.conformance.sink import SinkConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import make_odd
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import BrokenRuleError, require, rule


class EventSinkConformance(SinkConformance[EventSink[Settings]]):
    """Every rule that an event sink keeps. See :class:`PluginConformance` for how to use it; here you also say what is stored.

    Writes are made as the runtime makes them: a ``def write`` that blocks is called in a worker thread.
    """

    idempotent: ClassVar[bool] = True
    """False if the destination cannot tell a repeat, such as a standard queue: a repeated batch may then stand there twice."""
    large_batch: ClassVar[int] = 1000
    """How many events a large batch has, unless the sink's own limit is lower."""

    def stored(self) -> Iterable[str]:
        """Look into the destination, not into the plugin: the ids of the events that are there, one entry for each time."""
        pytest.skip("not tried: write stored(), or nothing can tell whether an event was lost")

    def refused_event(self) -> Event | None:
        """Make an event that the destination never takes (its id is ``refused``); None if it takes everything."""
        pytest.skip("not tried: write refused_event(), or let it return None if the sink takes everything")

    @rule
    async def test_every_event_is_stored(self) -> None:
        """Events not named as failed are durable when ``write`` returns, one of them or a large batch."""
        async with self.opened() as sink:
            for start, count in ((0, 1), (1, 50), (100, self.large_batch)):
                events = self.events(count, start=start)
                require(not await call(sink, events), "a destination that works refuses good events")
                self._require_stored(events)

    @rule
    async def test_failures_name_events_that_were_given(self) -> None:
        """``Failure.event`` is the very object that came in, named once; the answer is a collection, empty for none."""
        refused = self.refused_event()
        if refused is None:
            return
        due = (*self.events(3), refused)
        async with self.opened() as sink:
            try:
                failures = await call(sink, [*due])
            except DeliveryError:
                return  # of the whole batch: the runtime halves it
        given = Counter(failure.event for failure in failures)
        strangers = [event for event in given if event not in due]
        require(not strangers, "a failure names another object than the event given: not a copy, not a position")
        require(max(given.values(), default=0) <= 1, "a failure names one event twice")

    @rule
    async def test_a_refused_event_fails_for_good_and_alone(self) -> None:
        """What never goes through is permanent, and its neighbours are stored all the same."""
        refused = self.refused_event()
        if refused is None:
            return
        good = self.events(6)
        async with self.opened() as sink:
            failed = await deliver(sink, [*good[:3], refused, *good[3:]])
        require(refused.id in failed, "an event that the destination refuses is not named as failed")
        require(
            failed[refused.id].kind is FailureKind.PERMANENT, "a refused event is named as transient: tried for ever"
        )
        require(set(failed) == {refused.id}, f"a refused event takes {len(failed) - 1} of its neighbours along")
        self._require_stored(good)

    @rule
    async def test_nothing_overtakes_a_failed_event_of_its_group(self) -> None:
        """Of an ordered sink: once an event failed, all later ones of its group in the batch are named as failed too."""
        refused = self.refused_event()
        async with self.opened() as sink:
            if refused is None or not sink.ordered:
                return
            events = [*self.events(3), refused, *self.events(3, start=3)]
            events = [msgspec.structs.replace(event, group="one") for event in events]
            try:
                failures = await call(sink, events)
            except DeliveryError:
                return  # nothing of the batch was written
            named = {failure.event for failure in failures}
            require(set(events[4:]) <= named, "events behind a failed one of their group were written")

    @rule
    async def test_a_destination_out_of_reach_is_transient(self) -> None:
        """A lost connection, a throttle, a time-out: TransientError, raised or event by event. It is tried again."""
        plugin = self.unreachable()
        if plugin is not None:
            failures, error = await attempt(plugin, self.events(3))
            require_kind(failures, error, TransientError)

    @rule
    async def test_an_unusable_destination_is_unavailable(self) -> None:
        """A missing table, a denied permission: UnavailableError. The fork halts, and no event is blamed."""
        plugin = self.unusable()
        if plugin is not None:
            failures, error = await attempt(plugin, self.events(3))
            require_kind(failures, error, UnavailableError)

    @rule
    async def test_a_cancelled_write_claims_nothing(self) -> None:
        """``write_timeout`` cancels: CancelledError passes through. A write that returns instead has stored everything."""
        async with self.opened() as sink:
            for number, turns in enumerate(TURNS):
                events = self.events(5, start=number * 5)
                done = await cancel_after(turns, partial(call, sink, events))
                if done.finished:
                    self._require_stored(events)

    @rule
    async def test_a_cancelled_write_can_be_repeated(self) -> None:
        """After a cancellation the same events come again, to the same plugin, and are then stored."""
        async with self.opened() as sink:
            for number, turns in enumerate(TURNS):
                events = self.events(5, start=number * 5)
                await cancel_after(turns, partial(call, sink, events))
                require(not await call(sink, events), "after a cancelled write, good events are refused")
                self._require_stored(events)

    @rule
    async def test_a_repeated_batch_changes_nothing(self) -> None:
        """After a crash the same events come again: they are stored once, where the destination can tell."""
        events = self.events(20)
        async with self.opened() as sink:
            await call(sink, events)
            require(not await call(sink, events), "a repeated batch is refused")
        self._require_stored(events)
        if self.idempotent:
            twice = [key for key, times in Counter(iter(self.stored())).items() if times > 1]
            require(not twice, f"{len(twice)} of {len(events)} events are stored twice after a repeat")

    @rule
    async def test_odd_bodies_are_stored_or_refused_and_never_a_bug(self) -> None:
        """Empty, not UTF-8, not JSON, deep, 1 MiB: each is written, or refused by PermanentError; the others are stored."""
        good = self.events(60)
        odd = make_odd(good[30:])
        async with self.opened() as sink:
            await call(sink, good[6:9])  # some destinations take their schema from what comes first
            for oddity, event in odd.items():
                failures, error = await attempt_on(sink, [event])
                refused = error is None or isinstance(error, PermanentError)
                require(refused, f"a body that is {oddity} raises {_named(error)} where PermanentError is due")
                for failure in failures:
                    require(failure.kind is FailureKind.PERMANENT, f"a body that is {oddity} is tried for ever")
            failed = await deliver(sink, [*good[:3], *odd.values(), *good[3:6]])
            along = [f"{one.kind.value} {one.code} {one.detail}" for one in failed.values() if one.event in good[:6]]
            require(not along, f"odd bodies take {len(along)} of their neighbours along: {along[:1]}")
        self._require_stored(good[:6])

    @rule
    async def test_codes_are_stable_labels(self) -> None:
        """A ``code`` is snake_case and quotes nothing of the event, since it labels metrics; ``detail`` may quote."""
        refused = self.refused_event()
        odd = make_odd(self.events(40, start=987_000))
        async with self.opened() as sink:
            for event in [*odd.values(), *([refused] if refused else [])]:
                failures, error = await attempt_on(sink, [event])
                for code in [failure.code for failure in failures]:
                    require_stable_code(code)
                if isinstance(error, DeliveryError):
                    require_stable_code(error.code)

    @rule
    async def test_events_are_left_as_they_were(self) -> None:
        """An event is immutable: a retry, a dead letter and a halved batch see the same object."""
        events = self.events(5)
        before = [picture(event) for event in events]
        async with self.opened() as sink:
            await call(sink, events)
        require([picture(event) for event in events] == before, "write changes the events that it was given")

    @rule
    async def test_batches_written_at_once_do_not_mix(self) -> None:
        """Several batches are under way at once, on one plugin."""
        batches = [self.events(20, start=number * 20) for number in range(6)]
        async with self.opened() as sink:
            answers = await asyncio.gather(*(call(sink, batch) for batch in batches))
        require(not any(answers), "good events are refused when several batches are written at once")
        self._require_stored([event for batch in batches for event in batch])

    @rule
    async def test_writing_calls_nothing_that_blocks(self) -> None:
        """No sleep, no file, no blocking socket in the loop's thread: ``async``, or a plain ``def write`` throughout."""
        async with self.opened() as sink:
            await call(sink, self.events(3))  # what is read once does not count
            with blocking_calls() as found:
                await call(sink, self.events(3, start=3))
        require(not found, f"write holds up every fork: {'; '.join(found)}: a plain def write may block")

    @rule
    async def test_writing_leaves_the_loop_to_others(self) -> None:
        """A large batch of small events keeps the loop for ``turn_cpu`` seconds of CPU at a time, at most."""
        async with self.opened() as sink:
            await call(sink, self.events(1))
            events = self.events(min(self.large_batch, sink.batch_defaults.max_events))
            forget_turns()
            await call(sink, events)
            took = longest_turn()
        require(took <= self.turn_cpu, f"write keeps the loop for {took:.2f} s of CPU, {self.turn_cpu} s is the most")

    def _require_stored(self, events: Iterable[Event]) -> None:
        there = set(self.stored())
        lost = [event.id for event in events if event.id not in there]
        require(not lost, f"{len(lost)} events are neither stored nor named as failed, such as {lost[:1]}")


async def call(sink: EventSink[Settings], events: Sequence[Event]) -> Collection[Failure]:
    """Write as the runtime does, and require an answer of the right shape."""
    answer: object
    if inspect.iscoroutinefunction(sink.write):
        answer = await sink.write(events)
    else:
        answer = await asyncio.to_thread(sink.write, events)
    if not isinstance(answer, Collection):
        raise BrokenRuleError(
            f"write returns {type(answer).__name__}, where a collection of failures is due: () when every event is durable"
        )
    failures = [one for one in answer if isinstance(one, Failure)]
    others = [type(one).__name__ for one in answer if not isinstance(one, Failure)]
    require(not others, f"write returns {others[:1]} for a failed event, where Failure.permanent(event, …) is due")
    return failures


async def attempt_on(
    sink: EventSink[Settings], events: Sequence[Event]
) -> tuple[Collection[Failure], Exception | None]:
    """Write; give the failures and what was raised."""
    try:
        return await call(sink, events), None
    except BrokenRuleError:
        raise
    except Exception as error:  # noqa: BLE001  # the rules judge it
        return (), error


async def attempt(plugin: EventSink[Settings], events: Sequence[Event]) -> tuple[Collection[Failure], Exception | None]:
    """Open, write, close; give the failures and what was raised, be it while opening."""
    try:
        async with plugin:
            return await call(plugin, events), None
    except BrokenRuleError:
        raise
    except Exception as error:  # noqa: BLE001  # as above
        return (), error


async def deliver(sink: EventSink[Settings], events: Sequence[Event]) -> dict[str, Failure]:
    """Write as the runtime does, halving a batch that is refused as a whole; give the failures by the event's id."""
    failures, error = await attempt_on(sink, events)
    if error is None:
        return {failure.event.id: failure for failure in failures}
    if len(events) == 1:
        kind = FailureKind.TRANSIENT if isinstance(error, TransientError) else FailureKind.PERMANENT
        return {events[0].id: Failure(events[0], kind, "raised", name_of(error))}
    half = len(events) // 2
    return await deliver(sink, events[:half]) | await deliver(sink, events[half:])


def _named(error: Exception | None) -> str:
    return name_of(error) if error else ""
