"""The rules for ``partition``, which event sinks and object sinks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from forkstream.errors import PermanentError
from forkstream.event import Event
from forkstream.ports import Sink
from forkstream.settings import Settings
from forkstream.testing.conformance.checks import picture
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.make_events import make_events, make_odd
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import require, rule

K = TypeVar("K", bound=Sink[Settings])


class SinkConformance(PluginConformance[K], Generic[K]):
    """What the suites of event sinks and object sinks share."""

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        """Make events that this sink takes, the same ones at each call; override it where ``make_events`` does not fit."""
        return make_events(count, start=start)

    @rule
    async def test_a_partition_is_a_pure_function_of_the_event(self) -> None:
        """The same event has the same partition each time; one that has none raises PermanentError and nothing else."""
        async with self.opened() as sink:
            good = self.events(40)
            for event in [*good[:5], *make_odd(good).values()]:
                before = picture(event)
                first, again = (_partition(sink, event) for _ in range(2))
                require(isinstance(first, str), f"the partition of {event!r} is {type(first).__name__}, not a str")
                require(first == again, "one event has two partitions")
                require(picture(event) == before, "partition changes the event")
            require(
                all(_partition(sink, event) is not _REFUSED for event in good[:5]),
                "partition refuses an event that the sink should take",
            )


_REFUSED = "(refused)"


def _partition(sink: Sink[Settings], event: Event) -> str:
    try:
        return sink.partition(event)
    except PermanentError:
        return _REFUSED
    except Exception as error:  # whatever else it is, it is a bug
        require(None, f"partition raises {name_of(error)} on an odd body, where PermanentError is due")
        raise
