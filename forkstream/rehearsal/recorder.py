"""Recorders: they stand in a sink's place, keep what it gets, and hand it on unless the sink is only pretended."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence

import anyio.to_thread

from forkstream.event import Event, Failure
from forkstream.ports import EventSink, ObjectSink, Payload
from forkstream.rehearsal.strict import failures_of
from forkstream.settings import Settings


class EventRecorder(EventSink[Settings]):
    """Keeps events that were written, with their partition, in ``written``, and the last failure of each in ``failures``."""

    def __init__(self, sink: EventSink[Settings], *, pretend: bool) -> None:
        super().__init__(sink.config, sink.context)
        self.ordered = sink.ordered
        self.written: list[tuple[str, Event]] = []
        self.failures: dict[Event, Failure] = {}
        self._sink = sink
        self._pretend = pretend

    def partition(self, event: Event) -> str:
        return self._sink.partition(event)

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        failures = () if self._pretend else failures_of(await self._write(events), events)
        failed = {failure.event: failure for failure in failures}
        self.failures |= failed
        self.written += [(self.partition(event), event) for event in events if event not in failed]
        return failures

    async def _write(self, events: Sequence[Event]) -> object:
        if not inspect.iscoroutinefunction(self._sink.write):
            answer = await anyio.to_thread.run_sync(self._sink.write, events)
            return await answer if inspect.isawaitable(answer) else answer
        return await self._sink.write(events)


class ObjectRecorder(ObjectSink[Settings]):
    """Keeps objects that were put in ``objects``."""

    def __init__(self, sink: ObjectSink[Settings], *, pretend: bool) -> None:
        super().__init__(sink.config, sink.context)
        self.objects: list[tuple[str, Payload]] = []
        self._sink = sink
        self._pretend = pretend

    def partition(self, event: Event) -> str:
        return self._sink.partition(event)

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if not self._pretend:
            await self._sink.put(key, payload, attempt=attempt)
        self.objects.append((key, payload))
