"""Writers: how a batch's events reach an event sink or an object sink. What is fixed for all attempts is fixed here."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial, reduce
from typing import Protocol

import anyio
import anyio.to_thread

from forkstream.bounded_threads import BoundedThreads
from forkstream.errors import UnexpectedError
from forkstream.event import Event, Failure, FailureKind
from forkstream.flow.concurrency import MOST
from forkstream.ports import EventSink, ObjectInfo, ObjectSink, ObjectStage, Payload
from forkstream.raised_at import defined_at
from forkstream.settings import Settings
from forkstream.ulid import ulid

Render = Callable[[Sequence[Event]], Payload]


class Writing(Protocol):
    """One set of events on its way to a sink, attempted until it is written."""

    async def attempt(self, number: int) -> Collection[Failure]:
        """Try; ``number`` counts from 1. Events not named are durable. Raises what the sink raises."""


class Writer(Protocol):
    """Begins writings; a halved or partly failed batch begins anew."""

    def begin(self, partition: str, events: Sequence[Event]) -> Writing:
        """Fix what must be the same at every attempt. No I/O."""


class EventWriter:
    """Hands events to an event sink; a sink that blocks is called in a worker thread, ``concurrency`` at a time."""

    def __init__(self, sink: EventSink[Settings], concurrency: int) -> None:
        self.sink = sink
        self.blocking = not inspect.iscoroutinefunction(sink.write)
        self.threads = BoundedThreads(concurrency)

    def begin(self, partition: str, events: Sequence[Event]) -> Writing:  # noqa: ARG002  # the events know where they go
        return _EventWriting(self, tuple(events))  # what a sink takes out of its batch must not count as written


class _EventWriting:
    def __init__(self, writer: EventWriter, events: Sequence[Event]) -> None:
        self._writer = writer
        self._events = events

    async def attempt(self, number: int) -> Collection[Failure]:  # noqa: ARG002  # an event sink need not know
        write = self._writer.sink.write
        if self._writer.blocking:
            answer: object = await self._writer.threads.run(partial(write, self._events))
        else:
            answer = write(self._events)
        if inspect.isawaitable(answer):
            answer = await answer
        if not isinstance(answer, Collection) or not all(_is_failure(each) for each in answer):
            told = f"write returned {type(answer).__name__}, not a collection of failures"
            bug = UnexpectedError("unexpected_TypeError", told)
            bug.place = defined_at(write)  # no line of the plugin has raised it
            raise bug
        return answer


def _is_failure(each: object) -> bool:
    """Tell whether this is one, whatever its fields' types promise: an author's slip must not lose its event."""
    if not isinstance(each, Failure):
        return False
    fields: list[tuple[object, type]] = [(each.event, Event), (each.kind, FailureKind), (each.code, str)]
    wish = each.retry_after
    return all(isinstance(value, expected) for value, expected in fields) and (
        wish is None or isinstance(wish, float | int)
    )


class ObjectWriter:
    """Renders events to one payload, passes it through the object stages, and puts it under a key of its own."""

    def __init__(
        self,
        fork: str,
        sink: ObjectSink[Settings],
        *,
        render: Render,
        suffix: str,
        stages: Sequence[ObjectStage[Settings]] = (),
        on_rendered: Callable[[int, int], None] = lambda *_: None,
        concurrency: int = MOST,
    ) -> None:
        self.fork = fork
        self.sink = sink
        self.render = render
        self.stages = stages
        self.suffix = suffix + "".join(stage.suffix for stage in stages)
        self.on_rendered = on_rendered
        self.threads = anyio.CapacityLimiter(concurrency)  # its own: what hangs in them holds up no other fork

    def begin(self, partition: str, events: Sequence[Event]) -> Writing:
        return _ObjectWriting(self, f"{partition}{ulid()}{self.suffix}", events)


class _ObjectWriting:
    """The key is fixed before the first attempt and the payload rendered once, so a lost answer leaves no second object."""

    def __init__(self, writer: ObjectWriter, key: str, events: Sequence[Event]) -> None:
        self._writer = writer
        self._key = key
        self._events = events
        self._payload: Payload | None = None
        self._rendering = threading.Lock()

    async def attempt(self, number: int) -> Collection[Failure]:
        payload = self._payload or await self._render()
        await self._writer.sink.put(self._key, payload, attempt=number)
        return ()

    async def _render(self) -> Payload:
        about = ObjectInfo(fork=self._writer.fork, key=self._key, events=len(self._events))
        steps = [await stage.prepare(about) for stage in self._writer.stages]

        def render() -> Payload:
            with self._rendering:  # an attempt that timed out may be at it still: a thread can't be cancelled
                if self._payload is None:
                    self._payload = reduce(
                        lambda payload, step: step(payload), steps, self._writer.render(self._events)
                    )
                return self._payload

        # one thread hop (about 100 µs) for all of the CPU work of an object
        payload = await anyio.to_thread.run_sync(render, limiter=self._writer.threads, abandon_on_cancel=True)
        self._writer.on_rendered(sum(len(event.body) for event in self._events), len(payload.data))
        return payload
