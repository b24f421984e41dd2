"""The chain: a fold of a fork's event stages over the events of one receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from forkstream.errors import (
    WISHES_TO_END,
    DeliveryError,
    PermanentError,
    TransientError,
    UnexpectedError,
    as_delivery_error,
)
from forkstream.event import Drop, Event, Failure, FailureKind
from forkstream.flow.ask import ask
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
    """Runs steps over held events, replacing each ``held.event`` by the step's output. ``start`` resumes behind a step.

    An async stage has ``patience`` seconds for an answer.
    """

    def __init__(self, steps: Sequence[Step], patience: float = 60.0) -> None:
        self.steps = steps
        self._patience = patience
        # from the last sanitising stage on, what goes in is clean
        self._clean_from = max((n + 1 for n, step in enumerate(steps) if step.stage.sanitizes), default=0)

    async def run(self, held: list[Held], start: int = 0) -> Passage:
        """Take events through the steps; never raises for an event's sake."""
        passage = Passage(through=held)
        for number, step in enumerate(self.steps[start:], start):
            if not passage.through:
                break
            if isinstance(step.stage, EventStage):
                results = _call(step.stage, passage.through)
            else:
                results = await self._apply(step.stage, passage.through)
            odd = _replace(passage.through, results)
            if odd:
                _sort_out(passage, odd, step.name, sanitised=number >= self._clean_from)
        return passage

    async def resume(self, stopped: Sequence[Stopped]) -> Passage:
        """Take events again through the steps that stopped them, and through those behind."""
        numbers = {step.name: number for number, step in enumerate(self.steps)}
        whole = Passage()
        for name in dict.fromkeys(one.step for one in stopped):
            some = [one.held for one in stopped if one.step == name]
            passage = await self.run(some, numbers.get(name, len(self.steps)))
            whole.through += passage.through
            whole.stopped += passage.stopped
            for reason, dropped in passage.dropped.items():
                whole.dropped.setdefault(reason, []).extend(dropped)
        return whole

    async def _apply(self, stage: AsyncStage[Settings], held: list[Held]) -> list[object]:
        """Ask for a chunk; what fails as a whole for a reason that may lie in one of its events is halved."""

        async def answer() -> list[object]:
            results: Mapping[Event, object] = await stage.apply([one.event for one in held])
            return [results.get(one.event, TransientError("left_out")) for one in held]

        try:
            return await ask(answer, self._patience)
        except PermanentError as error:
            if len(held) == 1:
                return [error]
        except DeliveryError as error:
            return [error] * len(held)
        middle = len(held) // 2
        return [*await self._apply(stage, held[:middle]), *await self._apply(stage, held[middle:])]


def _call(stage: EventStage[Settings], held: list[Held]) -> list[object]:
    results: list[object] = []
    call = stage.__call__  # bound once: to call the stage itself looks that up for each event
    for one in held:
        try:
            results.append(call(one.event))
        except WISHES_TO_END:
            raise
        except BaseException as error:  # noqa: BLE001  # what a stage can't process never goes on
            results.append(as_delivery_error(error))
    return results


def _replace(held: Sequence[Held], results: Sequence[object]) -> dict[Held, object]:
    """Replace each event by what a stage made of it; gives what is no event."""
    odd: dict[Held, object] = {}
    for one, result in zip(held, results, strict=True):
        if isinstance(result, Event) and isinstance(result.body, bytes):
            one.event = result
        else:
            odd[one] = result
    return odd


def _sort_out(passage: Passage, odd: Mapping[Held, object], step: str, *, sanitised: bool) -> None:
    """Take out what goes no further: dropped, or stopped by an error."""
    for held, result in odd.items():
        if isinstance(result, Drop):
            passage.dropped.setdefault(str(result.reason), []).append(held)
        else:
            passage.stopped.append(Stopped(held, step, _error(result), sanitised))
    passage.through = [one for one in passage.through if one not in odd]


def _error(result: object) -> DeliveryError:
    if isinstance(result, DeliveryError):
        return result
    if isinstance(result, Failure):
        if result.kind is FailureKind.TRANSIENT:
            return TransientError(result.code, result.detail, retry_after=result.retry_after)
        return PermanentError(result.code, result.detail)
    if isinstance(result, Event):
        return UnexpectedError("body_not_bytes", f"the body is a {type(result.body).__name__}, not bytes")
    # None most of all: a stage that forgot its return is a bug, and never a drop
    return UnexpectedError("stage_returned_nothing", f"{type(result).__name__} instead of an event or a Drop")
