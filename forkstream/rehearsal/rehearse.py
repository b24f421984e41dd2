"""The rehearsal of a flow: its own chain, batches, writers and dead letters, each once, and nothing is waited for.

events ▶ chain ▶ batches ▶ format, object stages ▶ the sink, or a recorder in its place
            └── dead letters ▶ their own chain ▶ likewise ──┘
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext

import anyio

from forkstream.errors import DeliveryError, PluginError, TransientError, UnavailableError, UnexpectedError
from forkstream.event import Event
from forkstream.flow.chain import Chain, Step
from forkstream.flow.custody import Held, Receive
from forkstream.flow.flow import Flow
from forkstream.letters import letter_of
from forkstream.ports import AsyncStage, EventStage, Plugin
from forkstream.raised_at import raised_at
from forkstream.rehearsal.outlet_trial import OutletTrial
from forkstream.rehearsal.recorder import EventRecorder, ObjectRecorder
from forkstream.rehearsal.report import Dropped, Failed, Report, Stored, Written
from forkstream.rehearsal.strict import StrictAsyncStage
from forkstream.settings import Settings


async def rehearse(
    flow: Flow, events: Sequence[Event], *, pretend: bool, watch: AbstractContextManager[object] | None = None
) -> Report:
    """Take events through a flow, as those of one receive; its source is never opened.

    ``pretend`` leaves the sinks alone too: they are never opened, and whatever reaches them is taken for written. Raises
    what a plugin raises while it opens: a DeliveryError, or PluginError for a bug. ``watch`` is around all that goes on between opening and
    closing.
    """
    outlets = [flow.outlet, *([flow.dead_letters] if flow.dead_letters else [])]
    sinks = [outlet.sink for outlet in outlets]
    async with AsyncExitStack() as plugins:
        for plugin in flow.plugins:
            if plugin is not flow.source and not (pretend and plugin in sinks):
                await plugins.enter_async_context(_opened(plugin))
        with watch or nullcontext():
            return await _rehearsed(flow, events, pretend=pretend)


@asynccontextmanager
async def _opened(plugin: Plugin[Settings]) -> AsyncIterator[None]:
    """Open and close a plugin; whatever it raises there that is none of the three kinds is its bug."""
    try:
        await plugin.__aenter__()
    except DeliveryError:
        raise
    except Exception as error:
        raise PluginError(f"{_bug(plugin, '__aenter__', error)}: TransientError or UnavailableError is due") from error
    try:
        yield
    finally:
        try:
            await plugin.__aexit__(None, None, None)
        except Exception as error:
            raise PluginError(f"{_bug(plugin, '__aexit__', error)}: it closes, and raises nothing") from error


def _bug(plugin: Plugin[Settings], method: str, error: Exception) -> str:
    place = raised_at(error)
    return f"{type(plugin).__name__}.{method} raised {type(error).__name__}: {error}{f' ({place})' if place else ''}"


async def _rehearsed(flow: Flow, events: Sequence[Event], *, pretend: bool) -> Report:
    receive = Receive(anyio.current_time(), math.inf, math.inf)
    held = [Held.of(event, number, receive) for number, event in enumerate(events, 1)]
    report = Report()
    passage = await Chain([Step(step.name, _strict(step.stage)) for step in flow.steps]).run(held)
    for reason, dropped in passage.dropped.items():
        report.dropped += [Dropped(_number(one), reason) for one in dropped]
    dead: dict[Held, Failed] = {}
    for stopped in passage.stopped:
        failed = Failed(_number(stopped.held), stopped.step, stopped.error.code, _detail(stopped.error))
        may_be_stored = stopped.sanitised or flow.dead_letters is None or flow.dead_letters.include_unsanitised
        if isinstance(stopped.error, TransientError | UnavailableError) or not may_be_stored:
            report.kept.append(failed)
        else:
            dead[stopped.held] = failed
    trial = OutletTrial(flow.name, flow.outlet, flow.limits, pretend=pretend)
    await trial.run(passage.through)
    report.done = sorted(map(_number, trial.done))
    report.kept += [Failed(_number(one), "sink", error.code, _detail(error)) for one, error in trial.kept]
    for one in trial.accused:
        place = trial.places.get((one.code, one.detail), "")
        dead[one.held] = Failed(_number(one.held), "sink", one.code, _placed(one.detail, place))
    report.written, report.objects = _taken(trial, passage.through)
    await _bury(flow, dead, report, pretend=pretend)
    for found in (report.dropped, report.dead, report.kept):
        found.sort(key=_number_of)
    return report


async def _bury(flow: Flow, dead: dict[Held, Failed], report: Report, *, pretend: bool) -> None:
    """Write the letters; whose letter cannot be written stays with the source."""
    if flow.dead_letters is None:
        report.dead += dead.values()
        return
    for one, failed in dead.items():
        letter = letter_of(one.event, fork=flow.name, step=failed.step, code=failed.code, detail=failed.detail)
        one.event = one.event.with_(body=letter.encode())
    trial = OutletTrial(flow.name, flow.dead_letters, flow.limits, pretend=pretend)
    await trial.run(sorted(dead, key=_number))
    report.dead += [dead[one] for one in trial.done]
    lost = [(one.held, one.code, one.detail) for one in trial.accused]
    lost += [(one, error.code, error.detail) for one, error in trial.kept]
    report.kept += [Failed(_number(one), "dead_letter", code, detail) for one, code, detail in lost]
    report.letters, report.letter_objects = _taken(trial, list(dead))


def _taken(trial: OutletTrial, held: Sequence[Held]) -> tuple[list[Written], list[Stored]]:
    """Give what the sink took: events with their numbers, or objects."""
    match trial.recorder:
        case EventRecorder(written=written):
            numbers = {one.event: _number(one) for one in held}
            return [Written(numbers[event], where, event) for where, event in written], []
        case ObjectRecorder(objects=objects):
            return [], [Stored(key, payload) for key, payload in objects]


def _strict(stage: EventStage[Settings] | AsyncStage[Settings]) -> EventStage[Settings] | AsyncStage[Settings]:
    return StrictAsyncStage(stage) if isinstance(stage, AsyncStage) else stage


def _detail(error: DeliveryError) -> str:
    """Say what an error says, and of a bug where it is."""
    return _placed(error.detail, error.place if isinstance(error, UnexpectedError) else "")


def _placed(detail: str, place: str) -> str:
    return "; ".join(part for part in (detail, place and f"at {place}") if part)


def _number(held: Held) -> int:
    assert isinstance(held.receipt, int)  # noqa: S101  # it is the event's number
    return held.receipt


def _number_of(one: Dropped | Failed) -> int:
    return one.number
