"""The conformance suite of event stages."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from forkstream.errors import PermanentError
from forkstream.event import Drop, Event
from forkstream.ports import EventStage
from forkstream.settings import Settings
from forkstream.testing.conformance.checks import picture, require_stable_code
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import make_events, make_odd
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import require, rule


class EventStageConformance(PluginConformance[EventStage[Settings]]):
    """Every rule that an event stage keeps. See :class:`PluginConformance` for how to use it."""

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        """Make events that this stage can process, the same ones at each call; override it where ``make_events`` does not fit."""
        return make_events(count, start=start)

    def refused_event(self) -> Event | None:
        """Make an event that the stage cannot process; None if it can process all."""
        pytest.skip("not tried: write refused_event(), or let it return None if the stage can process everything")

    @rule
    async def test_every_event_becomes_an_event_or_a_drop(self) -> None:
        """Never None: a stage that forgets its return has not dropped the event."""
        async with self.opened() as stage:
            for event in self.events(20):
                result = stage(event)
                require(
                    isinstance(result, Event | Drop),
                    f"the stage returns {type(result).__name__}, where an Event or a Drop is due",
                )

    @rule
    async def test_an_event_stays_who_it_is(self) -> None:
        """``event.with_(…)`` makes the copy: id, time of sending and ordering group stay, or repeats cannot be told."""
        async with self.opened() as stage:
            for event in self.events(20):
                result = stage(event)
                if isinstance(result, Event):
                    same = (result.id, result.sent_at, result.group) == (event.id, event.sent_at, event.group)
                    require(same, "the result has another id, time of sending or group: use event.with_(…)")

    @rule
    async def test_the_result_can_be_stored(self) -> None:
        """Its body is bytes."""
        async with self.opened() as stage:
            for event in self.events(20):
                result = stage(event)
                body = result.body if isinstance(result, Event) else b""
                require(isinstance(body, bytes), f"the result's body is {type(body).__name__}, not bytes")

    @rule
    async def test_a_drop_has_a_stable_reason(self) -> None:
        """``Drop(reason)`` is counted by its reason: snake_case, and nothing of the event in it."""
        async with self.opened() as stage:
            for event in self.events(20, start=987_000):
                result = stage(event)
                if isinstance(result, Drop):
                    require_stable_code(result.reason)

    @rule
    async def test_events_are_left_as_they_were(self) -> None:
        """A dead letter holds the input of the step that failed: neither ``data`` nor ``attributes`` is changed in place."""
        async with self.opened() as stage:
            for event in self.events(20):
                before = picture(event)
                stage(event)
                require(picture(event) == before, "the stage changes the event that it was given")

    @rule
    async def test_the_same_event_gives_the_same_result(self) -> None:
        """Also between others, and also from another plugin with these settings: no state outlives the event."""
        async with self.opened() as stage, self.opened() as another:
            first = [_outcome(stage, event) for event in self.events(20)]
            again = [_outcome(stage, event) for event in reversed(self.events(20))][::-1]
            elsewhere = [_outcome(another, event) for event in self.events(20)]
        require(first == again, "an event that comes again has another result")
        require(first == elsewhere, "another plugin with the same settings has another result")

    @rule
    async def test_what_cannot_be_processed_is_a_permanent_error(self) -> None:
        """It raises PermanentError with a stable code. It is never passed on, and never dropped without a decision."""
        event = self.refused_event()
        if event is None:
            return
        async with self.opened() as stage:
            try:
                result = stage(event)
            except PermanentError as error:
                require_stable_code(error.code)
            except Exception as error:  # noqa: BLE001  # any other kind is the finding
                require(None, f"{name_of(error)} where PermanentError is due")
            else:
                require(None, f"an event that cannot be processed comes out as {result!r}")

    @rule
    async def test_odd_bodies_pass_or_are_refused_and_never_a_bug(self) -> None:
        """Empty, not UTF-8, not JSON, deep, 1 MiB: an event, a drop or PermanentError, each in ``turn_cpu`` seconds of CPU."""
        async with self.opened() as stage:
            for oddity, event in make_odd(self.events(40)).items():
                began = time.thread_time()
                try:
                    result = stage(event)
                    passed = isinstance(result, Event | Drop)
                    require(
                        passed, f"a body that is {oddity} becomes {type(result).__name__}: raise PermanentError for it"
                    )
                    _ = result.body if isinstance(result, Event) else b""
                except PermanentError as error:
                    require_stable_code(error.code)
                except Exception as error:  # whatever else it is, it is a bug
                    if isinstance(error, AssertionError):
                        raise
                    require(None, f"a body that is {oddity} raises {name_of(error)} where PermanentError is due")
                took = time.thread_time() - began
                require(took <= self.turn_cpu, f"a body that is {oddity} takes {took:.2f} s of CPU in the loop")

    @rule
    async def test_it_does_no_io(self) -> None:
        """A stage runs in the loop's thread, once per event: no sleep, no file, no socket. I/O is an async stage's."""
        async with self.opened() as stage:
            stage(self.events(1)[0])  # what is read once does not count
            with blocking_calls() as found:
                for event in self.events(5):
                    stage(event)
        require(not found, f"the stage does I/O: {'; '.join(found)}")


def _outcome(stage: EventStage[Settings], event: Event) -> object:
    result = stage(event)
    if not isinstance(result, Event):
        return result
    try:
        return result.body, dict(result.attributes), result.target
    except Exception as error:  # noqa: BLE001  # another rule's finding
        return name_of(error)
