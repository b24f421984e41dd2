"""Plugins held to the shape of their answers: a rehearsal says what came back and what is due, where a fork only counts a bug."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from forkstream.errors import UnexpectedError
from forkstream.event import Drop, Event, Failure
from forkstream.ports import AsyncStage, ObjectInfo, ObjectStage, Payload
from forkstream.settings import Settings


def failures_of(answer: object, events: Sequence[Event]) -> Collection[Failure]:
    """Check what ``write`` gave back for these events."""
    if not isinstance(answer, Collection):
        raise TypeError(
            f"write returned {_named(answer)}, where a collection of Failure is due: () when every event is durable"
        )
    for one in answer:
        if not isinstance(one, Failure):
            raise TypeError(
                f"write returned {_named(one)} for a failed event, where Failure.permanent(event, …) is due"
            )
        if not any(one.event is event for event in events):
            raise UnexpectedError(
                "foreign_failure", f"a failure names {one.event!r}, which is not one of the objects given"
            )
    return answer


class StrictAsyncStage(AsyncStage[Settings]):
    """Asks another stage, and checks that the answer is a mapping keyed by the events given."""

    def __init__(self, stage: AsyncStage[Settings]) -> None:
        super().__init__(stage.config, stage.context)
        self.sanitizes = stage.sanitizes  # type: ignore[misc]  # of this one stage
        self._stage = stage

    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:
        answer: object = await self._stage.apply(events)
        if not isinstance(answer, Mapping):
            raise TypeError(f"apply returned {_named(answer)}, where a mapping from each event to its result is due")
        strangers = [key for key in answer if key not in events]
        if strangers:
            raise TypeError(f"apply answers for {_named(strangers[0])}, where the very events given are due as keys")
        return answer


class StrictObjectStage(ObjectStage[Settings]):
    """Asks another stage, and checks that what it prepares is a function from payload to payload."""

    def __init__(self, stage: ObjectStage[Settings]) -> None:
        super().__init__(stage.config, stage.context)
        self._stage = stage

    @property
    def suffix(self) -> str:
        return self._stage.suffix

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        step: object = await self._stage.prepare(about)
        if not callable(step):
            raise TypeError(f"prepare returned {_named(step)}, where a function from Payload to Payload is due")

        def checked(payload: Payload) -> Payload:
            made = step(payload)
            if not isinstance(made, Payload):
                raise TypeError(f"what prepare returned gave {_named(made)}, where a Payload is due")
            return made

        return checked


def _named(found: object) -> str:
    return "None" if found is None else f"a value of type {type(found).__name__}"
