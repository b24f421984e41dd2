"""An outlet: a sink with all that is between events and it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from forkstream.flow.writers import EventWriter, ObjectWriter, Render, Writer
from forkstream.ports import EventSink, ObjectSink, ObjectStage
from forkstream.settings import Settings


class Outlet(msgspec.Struct, frozen=True, kw_only=True):
    """A sink with all that is between events and it. ``render`` and ``suffix`` matter to object sinks alone."""

    sink: EventSink[Settings] | ObjectSink[Settings]
    render: Render
    suffix: str = ""
    stages: Sequence[ObjectStage[Settings]] = ()

    def writer(self, fork: str, concurrency: int, on_rendered: Callable[[int, int], None] = lambda *_: None) -> Writer:
        """Make the writer to this sink; ``on_rendered`` is told the bytes of each object's bodies, and its own."""
        if isinstance(self.sink, EventSink):
            return EventWriter(self.sink, concurrency)
        return ObjectWriter(
            fork,
            self.sink,
            render=self.render,
            suffix=self.suffix,
            stages=self.stages,
            on_rendered=on_rendered,
            concurrency=concurrency,
        )


class DeadLetterOutlet(Outlet, frozen=True, kw_only=True):
    """Where the dead go. ``include_unsanitised`` lets in what could not be sanitised, if a stage here encrypts."""

    include_unsanitised: bool = False
