"""The conformance suite of sources."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import Backlog, Receipt, Refusal, Source
from forkstream.settings import Settings
from forkstream.testing.cancellation import TURNS, cancel_after
from forkstream.testing.conformance.checks import forget_turns, longest_turn, require_kind
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import ODD_BODIES, make_events
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import BrokenRuleError, require, rule

Received: TypeAlias = list[tuple[Event, Receipt]]


class SourceConformance(PluginConformance[Source[Settings]]):
    """Every rule that a source keeps. See :class:`PluginConformance` for how to use it; here you also say how it is filled."""

    short_hold: float = 1.0
    """Seconds that a test waits for a hold to run out: the shortest that the source can keep."""
    patience: float = 20.0
    """Seconds after which what does not come is given up. Only a source that breaks a rule takes them."""

    @abstractmethod
    def send(self, plugin: Source[Settings], events: Sequence[Event]) -> None:
        """Put events where the source receives from; ``plugin`` is for sources that hold their events themselves."""

    def odd_bodies(self) -> dict[str, bytes]:
        """Bodies that are odd and that can be sent to this source all the same; override it where not all can."""
        return dict(ODD_BODIES)

    @rule
    async def test_every_event_is_received_once(self) -> None:
        """Each with its body and a first receive_count of 1, and hidden from then on."""
        async with self.opened() as source:
            events = self._filled(source, 25)
            received = await self._receive(source, len(events))
            extra = await source.receive(10, hold=30, wait=0)
        bodies = sorted(event.body for event, _ in received)
        require(bodies == sorted(event.body for event in events), "other bodies are received than were sent")
        require(not extra, "an event is received again while it is held")
        require(all(event.receive_count == 1 for event, _ in received), "a first receive does not count as 1")

    @rule
    async def test_a_receive_keeps_to_its_limit(self) -> None:
        """Never more than ``limit`` events: the budget admits no more."""
        async with self.opened() as source:
            self._filled(source, 12)
            for limit in (1, 3, 10):
                found = await source.receive(limit, hold=30, wait=1)
                require(len(found) <= limit, f"a receive of {limit} brings {len(found)} events")

    @rule
    async def test_an_empty_source_answers_with_nothing(self) -> None:
        """An empty sequence after ``wait``, no error and no endless wait."""
        async with self.opened() as source:
            found = await source.receive(10, hold=30, wait=0)
            require(isinstance(found, Sequence), f"a receive returns {type(found).__name__}, not a sequence")
            require(not found, "an empty source brings events")

    @rule
    async def test_a_released_event_comes_again(self) -> None:
        """``hold(…, 0)`` shows it at once: the same event by its id, with the receive counted."""
        async with self.opened() as source:
            self._filled(source, 3)
            first = await self._receive(source, 3)
            require(not await source.hold([receipt for _, receipt in first], 0), "a release is refused")
            again = await self._receive(source, 3)
        require({e.id for e, _ in first} == {e.id for e, _ in again}, "a released event comes with another id, or not")
        require(all(event.receive_count > 1 for event, _ in again), "a second receive does not count")

    @rule
    async def test_a_deleted_event_never_comes_again(self) -> None:
        """Not when everything else is released, either."""
        async with self.opened() as source:
            self._filled(source, 6)
            received = await self._receive(source, 6)
            require(not await source.delete([receipt for _, receipt in received[:3]]), "a delete is refused")
            await source.hold([receipt for _, receipt in received[3:]], 0)
            again = await self._receive(source, 3)
            extra = await source.receive(10, hold=30, wait=0)
        gone = {event.id for event, _ in received[:3]}
        require(not gone & {event.id for event, _ in [*again, *extra]}, "a deleted event comes again")

    @rule
    async def test_a_hold_that_runs_out_brings_the_event_back(self) -> None:
        """A crash costs a redelivery, never an event."""
        async with self.opened() as source:
            self._filled(source, 2)
            first = await self._receive(source, 2, hold=self.short_hold)
            again = await self._receive(source, 2)
        require({e.id for e, _ in first} == {e.id for e, _ in again}, "an event whose hold ran out does not come again")

    @rule
    async def test_a_hold_can_be_extended(self) -> None:
        """``hold`` counts from now: what is extended stays hidden after the first hold is over."""
        async with self.opened() as source:
            self._filled(source, 1)
            ((event, receipt),) = await self._receive(source, 1, hold=self.short_hold)
            require(not await source.hold([receipt], 60), "an extension is refused")
            await asyncio.sleep(self.short_hold * 1.1)
            found = await source.receive(10, hold=30, wait=0)
        require(not found, f"{event!r} comes again in spite of the longer hold")

    @rule
    async def test_refusals_name_the_receipts_given(self) -> None:
        """A receipt that is used up is refused or accepted without effect; it never hides what became of the others."""
        async with self.opened() as source:
            self._filled(source, 3)
            receipts = [receipt for _, receipt in await self._receive(source, 3)]
            await source.delete(receipts[:1])
            for settle in (partial(source.hold, seconds=30), source.delete):
                refused = await _settle(settle, receipts)
                require(all(isinstance(one, Refusal) for one in refused), "refusals are due")
                named = [one.receipt for one in refused]
                require(set(named) <= set(receipts[:1]), "a good receipt is refused beside one that is used up")

    @rule
    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        """What a cancelled receive had taken comes again, when its hold is over."""
        async with self.opened() as source:
            events = self._filled(source, 5)
            for turns in TURNS[::3]:
                await cancel_after(turns, partial(_receive_held, source, self.short_hold))
            received: dict[bytes, Event] = {}
            for give_up in self._rounds():
                received |= {
                    event.body: event for event, _ in await source.receive(10, hold=60, wait=min(0.5, self.patience))
                }
                if len(received) == len(events) or give_up:
                    break
        require(len(received) == len(events), f"{len(events) - len(received)} events are lost by a cancelled receive")

    @rule
    async def test_receives_at_once_do_not_share_events(self) -> None:
        """Several receives are under way at once, on one plugin."""
        async with self.opened() as source:
            self._filled(source, 30)
            found = await asyncio.gather(*(source.receive(10, hold=30, wait=min(0.5, self.patience)) for _ in range(4)))
        bodies = [event.body for some in found for event, _ in some]
        require(len(bodies) == len(set(bodies)), "one event is received by two receives at once")
        receipts = [receipt for some in found for _, receipt in some]
        require(len(receipts) == len(set(receipts)), "two events have one receipt")

    @rule
    async def test_odd_bodies_are_received_as_they_are(self) -> None:
        """A source does not read what it carries: empty, not JSON, 1 MiB."""
        odd = self.odd_bodies()
        async with self.opened() as source:
            self.send(source, [Event(body, id=name, group=name) for name, body in odd.items()])
            received = {event.body for event, _ in await self._receive(source, len(odd))}
        changed = [name for name, body in odd.items() if body not in received]
        require(not changed, f"bodies are changed or lost: {', '.join(changed)}")

    @rule
    async def test_an_ordered_source_keeps_a_group_in_order(self) -> None:
        """Of an ordered source: a group's events come in order, and while one is held no later one comes beside it."""
        async with self.opened() as source:
            if not source.ordered:
                return
            sent = make_events(6, groups=2)
            self.send(source, sent)
            order = {event.body: number for number, event in enumerate(sent)}
            seen: list[Event] = []
            for give_up in self._rounds():
                found = await source.receive(1, hold=30, wait=min(0.5, self.patience))
                held = {event.group for event, _ in found}
                beside = await source.receive(10, hold=30, wait=0)
                require(not held & {event.group for event, _ in beside}, "a group's next event comes beside a held one")
                seen += [event for event, _ in [*found, *beside]]
                await source.delete([receipt for _, receipt in [*found, *beside]])
                if len(seen) == len(sent) or give_up:
                    break
        for group in ("g0", "g1"):
            numbers = [order[event.body] for event in seen if event.group == group]
            require(len(numbers) == 3, f"a group of three brings {len(numbers)} events")
            require(numbers == sorted(numbers), "a group's events come out of order")

    @rule
    async def test_the_backlog_is_an_estimate_or_none(self) -> None:
        """It is asked while the fork runs, and never fails on a source that works."""
        async with self.opened() as source:
            self._filled(source, 3)
            found = await source.backlog()
        require(found is None or isinstance(found, Backlog), f"the backlog is {type(found).__name__}")
        require(found is None or min(found.ready, found.in_flight) >= 0, "the backlog is negative")

    @rule
    async def test_a_source_out_of_reach_is_transient(self) -> None:
        """A lost connection, a time-out: TransientError. It is tried again."""
        await _require_failure(self.unreachable(), TransientError)

    @rule
    async def test_an_unusable_source_is_unavailable(self) -> None:
        """A missing queue, a denied permission: UnavailableError. The fork stops alone, and says so."""
        await _require_failure(self.unusable(), UnavailableError)

    @rule
    async def test_receiving_calls_nothing_that_blocks(self) -> None:
        """No sleep, no file, no blocking socket in the loop's thread: receive, hold and delete."""
        async with self.opened() as source:
            self._filled(source, 4)
            await _receive_hold_delete(source)  # what is read once does not count
            with blocking_calls() as found:
                await _receive_hold_delete(source)
        require(not found, f"the source holds up every fork: {'; '.join(found)}")

    @rule
    async def test_receiving_leaves_the_loop_to_others(self) -> None:
        """A receive keeps the loop for ``turn_cpu`` seconds of CPU at a time, at most."""
        async with self.opened() as source:
            self._filled(source, 20)
            await source.receive(1, hold=30, wait=1)
            forget_turns()
            await source.receive(10, hold=30, wait=1)
            took = longest_turn()
        require(took <= self.turn_cpu, f"receive keeps the loop for {took:.2f} s of CPU, {self.turn_cpu} s is the most")

    def _filled(self, source: Source[Settings], count: int) -> list[Event]:
        events = make_events(count, groups=count if source.ordered else 0)
        self.send(source, events)
        return events

    def _rounds(self) -> Iterator[bool]:
        """Count the seconds of patience: true in the last round."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience
        while True:
            yield loop.time() >= end

    async def _receive(self, source: Source[Settings], count: int, *, hold: float = 30.0) -> Received:
        """Receive until ``count`` events are there; a source may bring them in portions."""
        received: Received = []
        for give_up in self._rounds():
            received += await source.receive(10, hold=hold, wait=min(0.5, self.patience))
            if len(received) >= count or give_up:
                break
        require(len(received) == count, f"{len(received)} events are received where {count} are due")
        return received


async def _receive_held(source: Source[Settings], hold: float) -> Sequence[tuple[Event, Receipt]]:
    return await source.receive(10, hold=hold, wait=0.5)


async def _receive_hold_delete(source: Source[Settings]) -> None:
    receipts = [receipt for _, receipt in await source.receive(2, hold=30, wait=1)]
    await source.hold(receipts, 60)
    await source.delete(receipts)


async def _settle(
    settle: Callable[[Sequence[Receipt]], Coroutine[object, None, Collection[Refusal]]], receipts: Sequence[Receipt]
) -> Collection[Refusal]:
    try:
        refused: object = await settle(receipts)
    except DeliveryError as error:
        require(None, f"one receipt that is used up fails the whole call: {name_of(error)}")
        raise
    if not isinstance(refused, Collection):
        raise BrokenRuleError(
            f"{type(refused).__name__} is returned, where a collection of Refusal is due: () for none"
        )
    return refused


async def _require_failure(plugin: Source[Settings] | None, kind: type[DeliveryError]) -> None:
    if plugin is None:
        return
    error: Exception | None = None
    try:
        async with plugin:
            await plugin.receive(1, hold=30, wait=0)
    except Exception as raised:  # noqa: BLE001  # judged below
        error = raised
    require_kind((), error, kind)
