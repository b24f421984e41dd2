"""A good async stage, and one for each rule that breaks just that. The rules of every plugin are tried with event sinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import cast

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Drop, Event, Failure, Json
from forkstream.ports import AsyncStage, Context
from forkstream.settings import Settings
from forkstream.testing.conformance import AsyncStageConformance
from forkstream.testing.make_events import make_events

Result = Event | Drop | Failure


class Enrich(AsyncStage[Settings]):
    """Keeps every rule: it "asks" for each event, and gives objects a field."""

    def __init__(self, place: str) -> None:
        super().__init__(Settings(), Context(fork="test"))
        self.place = place

    async def check(self) -> None:
        if self.place == "gone":
            raise UnavailableError("missing", "the service is gone")

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        self.reach()
        answers: dict[Event, Result] = {}
        for event in events:
            await asyncio.sleep(0)
            answers[event] = self.one(event)
        return answers

    def one(self, event: Event) -> Result:
        try:
            data = event.data
        except PermanentError as error:
            return Failure.permanent(event, error.code)
        if not isinstance(data, dict) or "refuse" in data:
            return self.failure(event)
        return event.with_(data={**data, "price": self.price(event)})

    def price(self, event: Event) -> Json:
        return len(event.id)

    def failure(self, event: Event) -> Failure:
        return Failure.permanent(event, "refused_by_service")

    def reach(self) -> None:
        if self.place == "away":
            raise TransientError("lost_connection")
        if self.place == "gone":
            raise UnavailableError("missing", "the service is gone")


class EnrichSuite(AsyncStageConformance):
    turn_cpu = 0.2

    def __init__(self, kind: type[Enrich] = Enrich) -> None:
        self.kind = kind

    def plugin(self) -> Enrich:
        return self.kind("here")

    def unreachable(self) -> Enrich:
        return self.kind("away")

    def unusable(self) -> Enrich:
        return self.kind("gone")

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711)
        return event.with_(body=b'{"refuse":4711}')


class LeavesOut(Enrich):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        return await super().apply(events[:50])


class AddsStrangers(Enrich):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        answers = dict(await super().apply(events))
        if len(events) == 10 and events[0].id == "0":
            answers[events[0].with_()] = Drop("stranger")
        return answers


class AnswersNone(Enrich):
    def one(self, event: Event) -> Result:
        return cast("Event", None) if event.id == "1" else super().one(event)


class ShiftsAnswers(Enrich):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        answers = await super().apply(events)
        if len(events) != 10:
            return answers
        shifted = [events[-1], *events[:-1]]
        return {event: event.with_(body=other.body) for event, other in zip(events, shifted, strict=True)}


class NamesCopies(Enrich):
    def failure(self, event: Event) -> Failure:
        return Failure.permanent(event.with_(), "refused_by_service")


class FailsTheChunk(Enrich):
    def failure(self, event: Event) -> Failure:
        if b"refuse" in event.body:
            raise PermanentError("refused_by_service")
        return super().failure(event)


class BugOnOddBodies(Enrich):
    def one(self, event: Event) -> Result:
        event.body.decode()
        return super().one(event)


class Counts(Enrich):
    seen: tuple[str, ...] = ()

    def one(self, event: Event) -> Result:
        if event.id == "3":
            self.seen += (event.id,)
            if len(self.seen) == 2 and self.lone:
                return Drop("seen")
        return super().one(event)

    lone = True

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        self.lone = len(events) == 10 and events[0].sent_at == 1_700_000_000.0
        return await super().apply(events)


class ChangesInPlace(Enrich):
    def price(self, event: Event) -> Json:
        data = event.data
        assert isinstance(data, dict)
        data["priced"] = True
        return super().price(event)


class MixesChunks(Enrich):
    current: Sequence[Event] = ()

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        self.current = events
        await asyncio.sleep(0)
        return await super().apply(self.current)


class BusyAfterCancellation(Enrich):
    busy: Sequence[Event] = ()

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        if self.busy and events and self.busy[0] is events[0]:
            raise TransientError("busy")
        self.busy = events
        answers = await super().apply(events)
        self.busy = ()
        return answers


class OtherErrorOutOfReach(Enrich):
    def reach(self) -> None:
        if self.place == "away":
            raise ConnectionError("no answer")
        super().reach()


class BlamesEvents(Enrich):
    def reach(self) -> None:
        if self.place == "gone":
            raise PermanentError("missing")
        super().reach()


class Sleeps(Enrich):
    def price(self, event: Event) -> Json:
        time.sleep(0.0001)
        return super().price(event)


class BurnsCpu(Enrich):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Result]:
        if len(events) == 100:
            end = time.thread_time() + 0.25
            while time.thread_time() < end:
                pass
        return await super().apply(events)


BROKEN: dict[type[Enrich], str] = {
    LeavesOut: "test_every_event_is_answered",
    AddsStrangers: "test_answers_are_keyed_by_the_events_given",
    AnswersNone: "test_an_answer_is_an_event_a_drop_or_a_failure",
    ShiftsAnswers: "test_an_answer_belongs_to_its_event",
    NamesCopies: "test_failures_name_their_events",
    FailsTheChunk: "test_a_refused_event_fails_for_good_and_alone",
    BugOnOddBodies: "test_odd_bodies_pass_or_fail_alone_and_never_a_bug",
    Counts: "test_a_repeated_chunk_has_the_same_answers",
    ChangesInPlace: "test_events_are_left_as_they_were",
    MixesChunks: "test_chunks_at_once_do_not_mix",
    BusyAfterCancellation: "test_a_cancelled_chunk_can_be_repeated",
    OtherErrorOutOfReach: "test_a_service_out_of_reach_is_transient",
    BlamesEvents: "test_an_unusable_service_is_unavailable",
    Sleeps: "test_applying_calls_nothing_that_blocks",
    BurnsCpu: "test_applying_leaves_the_loop_to_others",
}
