"""The chain: a fold of a fork's event stages over the events of one receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from forkstream.errors import DeliveryError, PermanentError, TransientError, as_delivery_error
from forkstream.event import Drop, Event, Failure, FailureKind
from forkstream.flow.custody import Held
from forkstream.ports import AsyncStage, EventStage
from forkstream.settings import Settings

Stage = EventStage[Settings] | AsyncStage[Settings]


class Step(msgspec.Struct, frozen=True):
    """One stage and its place in the config, such as ``stages[0].sanitize``: a dead letter names it to resume there."""

    name: str
    stage: Stage


class Stopped(msgspec.Struct, frozen=True):
    """One event that failed on its way. ``held.event`` is the input of the step that failed.

    ``sanitised`` is False if a sanitising stage was still to come, so that this event must not be stored in the clear.
    """

    held: Held
    step: str
    error: DeliveryError
    sanitised: bool


class Passage(msgspec.Struct):
    """What became of the events of one receive."""

    through: list[Held] = []
    dropped: dict[str, list[Held]] = {}
    stopped: list[Stopped] = []


class Chain:
    """Runs steps over held events, replacing each ``held.event`` by the step's output. ``start`` resumes behind a step."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        # from the last sanitising stage on, what goes in is clean
        self._clean_from = max((n + 1 for n, step in enumerate(steps) if step.stage.sanitizes), default=0)

    async def run(self, held: list[Held], start: int = 0) -> Passage:
        """Take events through the steps; never raises for an event's sake."""
        passage = Passage(through=held)
        given = [one.event for one in held]
        for number, step in enumerate(self.steps[start:], start):
            if not passage.through:
                break
            results = self._call(step.stage, passage.through)
            if results is None:
                results = await self._apply(step.stage, passage.through)
            self._advance(passage, results, step.name, sanitised=number >= self._clean_from)
        self._encode(passage, dict(zip(held, given, strict=True)))
        return passage

    def _encode(self, passage: Passage, given: Mapping[Held, Event]) -> None:
        """Encode what stages changed, here and once; an output that is no JSON fails with the chain's input."""
        for one in [*passage.through]:
            try:
                _ = one.event.body
            except Exception as error:  # noqa: BLE001  # a stage put in what JSON can't hold
                one.event = given[one]
                passage.through.remove(one)
                passage.stopped.append(
                    Stopped(one, self.steps[0].name, as_delivery_error(error), sanitised=not self._clean_from)
                )

    def _call(self, stage: Stage, held: list[Held]) -> list[object] | None:
        if not isinstance(stage, EventStage):
            return None
        results: list[object] = []
        for one in held:
            try:
                results.append(stage(one.event))
            except Exception as error:  # noqa: BLE001  # what a stage can't process never goes on
                results.append(as_delivery_error(error))
        return results

    async def _apply(self, stage: Stage, held: list[Held]) -> list[object]:
        assert isinstance(stage, AsyncStage)  # noqa: S101  # there are two kinds of stage
        try:
            answer: Mapping[Event, object] = await stage.apply([one.event for one in held])
            return [answer.get(one.event, TransientError("left_out")) for one in held]
        except Exception as error:  # noqa: BLE001  # as above, for the whole chunk
            return [as_delivery_error(error)] * len(held)

    def _advance(self, passage: Passage, results: list[object], step: str, *, sanitised: bool) -> None:
        through = []
        for held, result in zip(passage.through, results, strict=True):
            if isinstance(result, Event):
                held.event = result
                through.append(held)
            elif isinstance(result, Drop):
                passage.dropped.setdefault(result.reason, []).append(held)
            else:
                passage.stopped.append(Stopped(held, step, _error(result), sanitised))
        passage.through = through


def _error(result: object) -> DeliveryError:
    if isinstance(result, DeliveryError):
        return result
    if isinstance(result, Failure):
        kind = TransientError if result.kind is FailureKind.TRANSIENT else PermanentError
        return kind(result.code, result.detail)
    # None most of all: a stage that forgot its return is a bug, and never a drop
    return PermanentError("stage_returned_nothing", f"{type(result).__name__} instead of an event or a Drop")
