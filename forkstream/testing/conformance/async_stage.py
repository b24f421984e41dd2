"""The conformance suite of async stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import pytest

from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.event import Drop, Event, Failure, FailureKind
from forkstream.ports import AsyncStage
from forkstream.settings import Settings
from forkstream.testing.cancellation import TURNS, cancel_after
from forkstream.testing.conformance.checks import (
    forget_turns,
    longest_turn,
    picture,
    require_kind,
    require_stable_code,
)
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import make_events, make_odd
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import BrokenRuleError, require, rule

Answer = Mapping[Event, Event | Drop | Failure]


class AsyncStageConformance(PluginConformance[AsyncStage[Settings]]):
    """Every rule that an async stage keeps. See :class:`PluginConformance` for how to use it."""

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        """Make events that this stage can process, the same ones at each call; override it where ``make_events`` does not fit."""
        return make_events(count, start=start)

    def refused_event(self) -> Event | None:
        """Make an event that the stage cannot process (its id is ``refused``); None if it can process all."""
        pytest.skip("not tried: write refused_event(), or let it return None if the stage can process everything")

    @rule
    async def test_every_event_is_answered(self) -> None:
        """An event left out is retried, for ever if it is always left out; one of them or a hundred."""
        async with self.opened() as stage:
            for count in (1, 100):
                events = self.events(count)
                answer = await _apply(stage, events)
                missing = [event.id for event in events if event not in answer]
                require(not missing, f"{len(missing)} of {count} events have no answer, such as {missing[:1]}")

    @rule
    async def test_answers_are_keyed_by_the_events_given(self) -> None:
        """By the very objects that came in, not by copies or ids."""
        async with self.opened() as stage:
            events = self.events(10)
            strangers = [key for key in await _apply(stage, events) if key not in events]
        require(not strangers, f"{len(strangers)} answers are for something else than the events given")

    @rule
    async def test_an_answer_is_an_event_a_drop_or_a_failure(self) -> None:
        """Never None; an event that goes on keeps its id, time of sending and ordering group: use ``event.with_(…)``."""
        async with self.opened() as stage:
            for given, result in (await _apply(stage, self.events(10))).items():
                require(
                    isinstance(result, Event | Drop | Failure),
                    f"an answer is {type(result).__name__}, where an Event, a Drop or a Failure is due",
                )
                if isinstance(result, Event):
                    same = (result.id, result.sent_at, result.group) == (given.id, given.sent_at, given.group)
                    require(same, "an event comes out with another id, time of sending or group")

    @rule
    async def test_an_answer_belongs_to_its_event(self) -> None:
        """Whatever order the service answers in: each event has the same answer alone and among others."""
        async with self.opened() as stage:
            together = await self._outcomes(stage, 10)
            alone = [_outcomes(await _apply(stage, [event]), [event])[0] for event in self.events(10)]
        require(together == alone, "an event has another answer among others than alone")

    @rule
    async def test_failures_name_their_events(self) -> None:
        """A Failure stands at the event that it names."""
        refused = self.refused_event()
        if refused is None:
            return
        async with self.opened() as stage:
            answer, error = await _attempt_on(stage, [*self.events(3), refused])
        if error is None:
            wrong = [one for given, one in answer.items() if isinstance(one, Failure) and one.event is not given]
            require(not wrong, "a failure names another object than the event that it answers")

    @rule
    async def test_a_refused_event_fails_for_good_and_alone(self) -> None:
        """What never goes through is a permanent Failure of its own: an error raised would fail the whole chunk."""
        refused = self.refused_event()
        if refused is None:
            return
        async with self.opened() as stage:
            answer, error = await _attempt_on(stage, [*self.events(3), refused, *self.events(3, start=3)])
        require(error is None, f"one event fails the whole chunk: {name_of(error) if error else ''}")
        results = {given.id: result for given, result in answer.items()}
        own = results.pop(refused.id, None)
        require(isinstance(own, Failure) and own.kind is FailureKind.PERMANENT, f"a refused event comes out as {own!r}")
        require(not any(isinstance(one, Failure) for one in results.values()), "it takes its neighbours along")
        require_stable_code(own.code if isinstance(own, Failure) else "")

    @rule
    async def test_odd_bodies_pass_or_fail_alone_and_never_a_bug(self) -> None:
        """Empty, not UTF-8, not JSON, deep, 1 MiB: whatever becomes of them, their neighbours go on."""
        good = self.events(60)
        odd = make_odd(good[30:])
        async with self.opened() as stage:
            for oddity, event in odd.items():
                answer, error = await _attempt_on(stage, [good[0], event])
                require(error is None, f"a body that is {oddity} fails the chunk: {name_of(error) if error else ''}")
                own = answer.get(event)
                tried = isinstance(own, Failure) and own.kind is FailureKind.TRANSIENT
                require(own is not None and not tried, f"a body that is {oddity} is tried for ever")
                require(not isinstance(answer.get(good[0]), Failure), f"a body that is {oddity} fails its neighbour")

    @rule
    async def test_a_repeated_chunk_has_the_same_answers(self) -> None:
        """After a crash the same events come again."""
        async with self.opened() as stage:
            first, again = await self._outcomes(stage, 10), await self._outcomes(stage, 10)
        require(first == again, "a repeated chunk has other answers")

    @rule
    async def test_events_are_left_as_they_were(self) -> None:
        """A dead letter holds the input of the step that failed: neither ``data`` nor ``attributes`` is changed in place."""
        events = self.events(10)
        before = [picture(event) for event in events]
        async with self.opened() as stage:
            await _apply(stage, events)
        require([picture(event) for event in events] == before, "the stage changes the events that it was given")

    @rule
    async def test_chunks_at_once_do_not_mix(self) -> None:
        """Several chunks are under way at once, on one plugin."""
        starts = range(0, 60, 10)
        async with self.opened() as stage:
            one_by_one = [await self._outcomes(stage, 10, start) for start in starts]
            at_once = await asyncio.gather(*(self._outcomes(stage, 10, start) for start in starts))
        require(list(at_once) == one_by_one, "chunks that are under way at once get each other's answers")

    @rule
    async def test_a_cancelled_chunk_can_be_repeated(self) -> None:
        """Wherever it is cancelled, the same events come again, to the same plugin."""
        async with self.opened() as stage:
            for turns in TURNS:
                events = self.events(5)
                await cancel_after(turns, partial(_apply, stage, events))
                answer, error = await _attempt_on(stage, events)
                require(error is None, f"after a cancelled chunk: {name_of(error) if error else ''}")
                require(all(event in answer for event in events), "after a cancelled chunk, events have no answer")

    @rule
    async def test_a_service_out_of_reach_is_transient(self) -> None:
        """A lost connection, a throttle, a time-out: TransientError, raised or event by event. It is tried again."""
        await self._require_failure(self.unreachable(), TransientError)

    @rule
    async def test_an_unusable_service_is_unavailable(self) -> None:
        """A missing function, a denied permission: UnavailableError. The fork halts, and no event is blamed."""
        await self._require_failure(self.unusable(), UnavailableError)

    @rule
    async def test_applying_calls_nothing_that_blocks(self) -> None:
        """No sleep, no file, no blocking socket in the loop's thread."""
        async with self.opened() as stage:
            await _apply(stage, self.events(3))  # what is read once does not count
            with blocking_calls() as found:
                await _apply(stage, self.events(3))
        require(not found, f"apply holds up every fork: {'; '.join(found)}")

    @rule
    async def test_applying_leaves_the_loop_to_others(self) -> None:
        """A hundred events keep the loop for ``turn_cpu`` seconds of CPU at a time, at most."""
        async with self.opened() as stage:
            await _apply(stage, self.events(1))
            forget_turns()
            await _apply(stage, self.events(100))
            took = longest_turn()
        require(took <= self.turn_cpu, f"apply keeps the loop for {took:.2f} s of CPU, {self.turn_cpu} s is the most")

    async def _outcomes(self, stage: AsyncStage[Settings], count: int, start: int = 0) -> list[object]:
        events = self.events(count, start=start)
        return _outcomes(await _apply(stage, events), events)

    async def _require_failure(self, plugin: AsyncStage[Settings] | None, kind: type[DeliveryError]) -> None:
        if plugin is None:
            return
        failures: list[Failure] = []
        error: Exception | None = None
        try:
            async with plugin:
                answer = await plugin.apply(self.events(3))
            failures = [one for one in answer.values() if isinstance(one, Failure)]
        except Exception as raised:  # noqa: BLE001  # judged below
            error = raised
        require_kind(failures, error, kind)


async def _apply(stage: AsyncStage[Settings], events: Sequence[Event]) -> Answer:
    answer: object = await stage.apply(events)
    if not isinstance(answer, Mapping):
        raise BrokenRuleError(f"apply returns {type(answer).__name__}, where a mapping from each event given is due")
    return answer


async def _attempt_on(stage: AsyncStage[Settings], events: Sequence[Event]) -> tuple[Answer, Exception | None]:
    try:
        return await _apply(stage, events), None
    except BrokenRuleError:
        raise
    except Exception as error:  # noqa: BLE001  # the rules judge it
        return {}, error


def _outcomes(answer: Answer, events: Sequence[Event]) -> list[object]:
    """Picture the answers to these events, in their order, so that those of two calls can be compared."""
    return [_outcome(answer.get(event)) for event in events]


def _outcome(result: object) -> object:
    if isinstance(result, Event):
        return result.body, dict(result.attributes), result.target
    return result.code if isinstance(result, Failure) else result
