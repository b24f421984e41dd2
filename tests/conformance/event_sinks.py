"""A good event sink, and one for each rule that breaks just that."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from msgspec import Meta

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Event, Failure, Json
from forkstream.ports import Context, EventSink
from forkstream.settings import Settings
from forkstream.testing.conformance import EventSinkConformance
from forkstream.testing.make_events import make_events

Store = list[Event]


class ShelfConfig(Settings):
    place: Annotated[str, Meta(description="where the shelf stands: here, away or gone")] = "here"


class Shelf(EventSink[ShelfConfig]):
    """Keeps every rule. ``store`` is the destination; bodies that are not UTF-8 and the word ``refuse`` it does not take."""

    ordered = True

    def __init__(self, config: ShelfConfig, context: Context) -> None:
        super().__init__(config, context)
        if config.place not in ("here", "away", "gone"):
            raise ValueError(f"place: expected here, away or gone, found {config.place!r}")
        self.store: Store = []

    async def check(self) -> None:
        if self.config.place == "gone":
            raise UnavailableError("missing", "the shelf is gone")

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        self.reach()
        failures: list[Failure] = []
        blocked: set[str] = set()
        for event in events:
            await asyncio.sleep(0)
            if event.group in blocked:
                failures.append(Failure.transient(event, "behind"))
            elif refused(event):
                failures.append(self.failure(event))
                blocked.update([event.group] if event.group else [])
            elif not self.has(event):
                self.store.append(event)
        return failures

    def reach(self) -> None:
        if self.config.place == "away":
            raise TransientError("lost_connection")
        if self.config.place == "gone":
            raise UnavailableError("missing", "the shelf is gone")

    def failure(self, event: Event) -> Failure:
        return Failure.permanent(event, "refused_by_shelf")

    def has(self, event: Event) -> bool:
        return any(event.id == other.id for other in self.store[-2000:])


def refused(event: Event) -> bool:
    try:
        return "refuse" in event.body[:100].decode()
    except UnicodeDecodeError:
        return True


class ShelfSuite(EventSinkConformance):
    turn_cpu = 0.2

    def __init__(self, kind: type[Shelf] = Shelf) -> None:
        self.kind = kind
        self.store: Store = []

    def plugin(self) -> Shelf:
        return self.at("here")

    def at(self, place: str) -> Shelf:
        kind_config: type[Any] = self.kind.settings_type()
        made = self.kind(kind_config(place=place), Context(fork="test"))
        made.store = self.store
        return made

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{"place": 1}, {"place": "elsewhere"}]

    def unreachable(self) -> Shelf:
        return self.at("away")

    def unusable(self) -> Shelf:
        return self.at("gone")

    def stored(self) -> Iterable[str]:
        return [event.id for event in self.store]

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711)
        return event.with_(body=b'{"refuse":4711}')


class CountingPartition(Shelf):
    count = 0

    def partition(self, event: Event) -> str:
        self.count += 1
        return str(self.count)


class LosesBeyondHundred(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return await super().write(events[:100])


class NamesCopies(Shelf):
    def failure(self, event: Event) -> Failure:
        return Failure.permanent(event.with_(), "refused_by_shelf")


class TriesForEver(Shelf):
    def failure(self, event: Event) -> Failure:
        word = b"refuse" in event.body
        return Failure.transient(event, "busy") if word else super().failure(event)


class LetsOthersOvertake(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return [f for one in events for f in await super(LetsOthersOvertake, self).write([one])]


class OtherErrorOutOfReach(Shelf):
    def reach(self) -> None:
        if self.config.place == "away":
            raise ConnectionError("no answer")
        super().reach()


class BlamesEvents(Shelf):
    def reach(self) -> None:
        if self.config.place == "gone":
            raise PermanentError("missing")
        super().reach()


class SwallowsCancellation(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        try:
            return await super().write(events)
        except asyncio.CancelledError:
            return ()


class BusyAfterCancellation(Shelf):
    writing: Sequence[Event] = ()

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        if self.writing and self.writing[0] is events[0]:
            return [Failure.transient(event, "busy") for event in events]
        self.writing = events
        failures = await super().write(events)
        self.writing = ()
        return failures


class StoresTwice(Shelf):
    def has(self, event: Event) -> bool:
        return False


class DecodesEverything(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        for event in events:
            event.body.decode()
        return await super().write(events)


class QuotesInCode(Shelf):
    def failure(self, event: Event) -> Failure:
        return Failure.permanent(event, f"refused_{event.id}")


class ChangesEvents(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        failures = await super().write(events)
        for event in events:
            if not refused(event) and event.body.startswith(b'{"id"') and event.body.endswith(b"5}"):
                data = event.data
                assert isinstance(data, dict)
                data["written"] = True
        return failures


class EmptiesTheBatch(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        failures = await super().write(events)
        cast("list[Event]", events).clear()
        return failures


class MixesBatches(Shelf):
    current: Sequence[Event] = ()

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        self.current = events
        await asyncio.sleep(0)
        return await super().write(self.current)


class Sleeps(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        time.sleep(0.001)  # noqa: ASYNC251  # that is what is bad
        return await super().write(events)


class OpensFiles(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        Path(__file__).read_bytes()  # noqa: ASYNC240  # that is what is bad
        return await super().write(events)


class BlocksOnSocket(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        one, other = socket.socketpair()
        with one, other:
            one.sendall(b"x")
            other.recv(1)
        return await super().write(events)


class BurnsCpu(Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        if len(events) == 1000 and events[0].id == "0":
            end = time.thread_time() + 0.25
            while time.thread_time() < end:
                pass
        return await super().write(events)


BROKEN: dict[type[Shelf], str] = {
    CountingPartition: "test_a_partition_is_a_pure_function_of_the_event",
    LosesBeyondHundred: "test_every_event_is_stored",
    NamesCopies: "test_failures_name_events_that_were_given",
    TriesForEver: "test_a_refused_event_fails_for_good_and_alone",
    LetsOthersOvertake: "test_nothing_overtakes_a_failed_event_of_its_group",
    OtherErrorOutOfReach: "test_a_destination_out_of_reach_is_transient",
    BlamesEvents: "test_an_unusable_destination_is_unavailable",
    SwallowsCancellation: "test_a_cancelled_write_claims_nothing",
    BusyAfterCancellation: "test_a_cancelled_write_can_be_repeated",
    StoresTwice: "test_a_repeated_batch_changes_nothing",
    DecodesEverything: "test_odd_bodies_are_stored_or_refused_and_never_a_bug",
    QuotesInCode: "test_codes_are_stable_labels",
    ChangesEvents: "test_events_are_left_as_they_were",
    EmptiesTheBatch: "test_events_are_left_as_they_were",
    MixesBatches: "test_batches_written_at_once_do_not_mix",
    Sleeps: "test_writing_calls_nothing_that_blocks",
    OpensFiles: "test_writing_calls_nothing_that_blocks",
    BlocksOnSocket: "test_writing_calls_nothing_that_blocks",
    BurnsCpu: "test_writing_leaves_the_loop_to_others",
}
