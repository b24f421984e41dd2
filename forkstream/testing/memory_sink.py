"""An event sink in memory: what a test writes stages or sources against."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio.lowlevel

from forkstream.event import Event, Failure
from forkstream.ports import Context, EventSink
from forkstream.settings import Settings


class MemorySink(EventSink[Settings]):
    """Keeps every event once by its id, in the order of arrival: ``events`` is what it holds.

    Make it fail by assigning ``error``, which the next writes raise until it is None again, or ``refuse``, the ids
    that it refuses for good.
    """

    ordered = False

    def __init__(self, config: Settings | None = None, context: Context | None = None) -> None:
        super().__init__(config or Settings(), context or Context(fork="test"))
        self._events: dict[str, Event] = {}
        self.writes = 0
        self.error: Exception | None = None
        self.refuse: set[str] = set()

    @property
    def events(self) -> list[Event]:
        """Everything written so far."""
        return list(self._events.values())

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        await anyio.lowlevel.checkpoint()
        self.writes += 1
        if self.error is not None:
            raise self.error
        refused = [event for event in events if event.id in self.refuse]
        for event in events:
            if event.id not in self.refuse:
                self._events.setdefault(event.id, event)
        return [Failure.permanent(event, "refused") for event in refused]
