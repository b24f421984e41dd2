"""A sink that takes everything and keeps nothing: to measure the flow without a destination, or to drain a queue."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from forkstream.event import Event, Failure
from forkstream.ports import EventSink
from forkstream.settings import Settings


class BlackholeConfig(Settings):
    """Nothing can be set."""


class BlackholeSink(EventSink[BlackholeConfig]):
    """Discards events. They are settled as done: what goes in here is gone."""

    ordered = True

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:  # noqa: ARG002  # that is its purpose
        """Discard the events."""
        return ()
