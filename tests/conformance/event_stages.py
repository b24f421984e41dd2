"""A good event stage, and one for each rule that breaks just that. The rules of every plugin are tried with event sinks."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import cast

from forkstream.errors import PermanentError
from forkstream.event import Drop, Event, Json
from forkstream.ports import Context, EventStage
from forkstream.settings import Settings
from forkstream.testing.conformance import EventStageConformance
from forkstream.testing.make_events import make_events


class Badge(EventStage[Settings]):
    """Keeps every rule: it gives objects a field, drops every seventh id, and refuses what is no object."""

    def __init__(self) -> None:
        super().__init__(Settings(), Context(fork="test"))

    def __call__(self, event: Event) -> Event | Drop:
        data = event.data
        if not isinstance(data, dict):
            raise PermanentError("not_an_object")
        number = data.get("id")
        if isinstance(number, int) and number % 7 == 6:
            return Drop("seventh")
        return event.with_(data={**data, "badge": self.badge(event)})

    def badge(self, event: Event) -> Json:
        return "forkstream"


class BadgeSuite(EventStageConformance):
    def __init__(self, kind: type[Badge] = Badge) -> None:
        self.kind = kind

    def plugin(self) -> Badge:
        return self.kind()

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=99)
        return event.with_(body=b"[99]")


class ForgetsReturn(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        return cast("Event", None) if event.body.endswith(b"1.5}") else super().__call__(event)


class MakesNewEvents(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        result = super().__call__(event)
        return Event(result.body, id=result.id) if isinstance(result, Event) else result


class BodyIsText(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        return event.with_(body=cast("bytes", "text")) if event.id == "19" else super().__call__(event)


class QuotesInReason(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        result = super().__call__(event)
        return Drop(f"seventh_{event.id}") if isinstance(result, Drop) else result


class ChangesInPlace(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        result = super().__call__(event)
        data = event.data
        assert isinstance(data, dict)
        data["badge"] = self.badge(event)
        return result


class Counts(Badge):
    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()

    def badge(self, event: Event) -> Json:
        return next(self.numbers)


class PassesOn(Badge):
    def __call__(self, event: Event) -> Event | Drop:
        return event if isinstance(event.data, list) else super().__call__(event)


class BugOnOddTypes(Badge):
    def badge(self, event: Event) -> Json:
        data = event.data
        assert isinstance(data, dict)
        return Decimal(str(data.get("amount", 0)))


class ReadsFiles(Badge):
    def badge(self, event: Event) -> Json:
        return len(Path(__file__).read_bytes())


BROKEN: dict[type[Badge], str] = {
    ForgetsReturn: "test_every_event_becomes_an_event_or_a_drop",
    MakesNewEvents: "test_an_event_stays_who_it_is",
    BodyIsText: "test_the_result_can_be_stored",
    QuotesInReason: "test_a_drop_has_a_stable_reason",
    ChangesInPlace: "test_events_are_left_as_they_were",
    Counts: "test_the_same_event_gives_the_same_result",
    PassesOn: "test_what_cannot_be_processed_is_a_permanent_error",
    BugOnOddTypes: "test_odd_bodies_pass_or_are_refused_and_never_a_bug",
    ReadsFiles: "test_it_does_no_io",
}
