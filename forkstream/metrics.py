"""Every metric, declared once. ``python -m forkstream.metrics README.md`` writes the reference in the README from here.

Metrics are updated per receive, per batch or per attempt, or once a second, never per event. Labels hold names and codes
only. Measured, CPU an event in receives of ten and batches of 500: 0.1 µs, and 0.05 for the ages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric as Family

from forkstream.loop_metrics import LoopCounter, LoopHistogram

Made = TypeVar("Made")

_ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
_BATCH_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_EVENT_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)


class Metric(Generic[Made]):
    """One declaration: ``received = counter("events", "Events received")`` in a class of metrics is ``forkstream_received``.

    Of the class it is the declaration itself, of an instance what counts.
    """

    def __init__(self, kind: str, unit: str, help_: str, labels: Sequence[str], make: Callable[..., Made]) -> None:
        self.kind = kind
        self.unit = unit
        self.help = help_
        self.labels = labels
        self.make = make
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"forkstream_{name}"

    @overload
    def __get__(self, metrics: None, owner: type) -> Metric[Made]: ...
    @overload
    def __get__(self, metrics: Metrics, owner: type) -> Made: ...
    def __get__(self, metrics: Metrics | None, owner: type) -> Metric[Made] | Made:
        if metrics is None:
            return self
        made: Made = metrics.made[self.name]
        return made

    @property
    def exposed(self) -> str:
        """Its name where it is scraped."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


class Registry(CollectorRegistry):
    """A registry without the ``_created`` series that every counter and histogram has of its own: twice as much to store.

    prometheus-client can switch them off for the whole process only, which may not be ours alone.
    """

    def collect(self) -> Iterator[Family]:
        """What Prometheus asks for."""
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def _counter(unit: str, help_: str, *labels: str) -> Metric[Counter]:
    return Metric("counter", unit, help_, labels, Counter)


def _often(unit: str, help_: str, *labels: str) -> Metric[LoopCounter]:
    return Metric("counter", unit, help_, labels, LoopCounter)


def _often_in_buckets(unit: str, help_: str, *labels: str, buckets: Sequence[float]) -> Metric[LoopHistogram]:
    return Metric("histogram", unit, help_, labels, partial(LoopHistogram, buckets=buckets))


def _gauge(unit: str, help_: str, *labels: str) -> Metric[Gauge]:
    return Metric("gauge", unit, help_, labels, Gauge)


def _histogram(unit: str, help_: str, *labels: str, buckets: Sequence[float]) -> Metric[Histogram]:
    return Metric("histogram", unit, help_, labels, partial(Histogram, buckets=buckets))


class Metrics:
    """The metrics of one process, in a registry of their own."""

    # What comes in. `fill` tells whether receives bring as much as was asked for: while they are full, more is waiting.
    received = _often("events", "Events received from the source, again and again included", "fork")
    received_bytes = _often("bytes", "Bodies of received events", "fork")
    receives = _often("receives", "Receives answered; fill is empty, part or full", "fork", "fill")
    receive_seconds = _often_in_buckets(
        "seconds", "From asking the source to its answer; an empty one waits as long as it may",
        "fork", "fill", buckets=_ATTEMPT_SECONDS,
    )  # fmt: skip
    backlog_events = _gauge("events", "Events that wait at the source, by its own estimate, once a minute", "fork")

    # What is held. Beyond a use of 1 nothing is received until something is settled.
    in_flight_events = _gauge("events", "Events between receive and settlement", "fork")
    in_flight_bytes = _gauge("bytes", "What events between receive and settlement take", "fork")
    budget_used = _gauge("ratio", "What is held of the budget, of events or of bytes, whichever is more", "fork")
    visibility_extensions = _counter("events", "Events whose visibility was extended", "fork")

    # Batches. `reason` tells whether limits are in use: age means that batches could be larger, pressure that they may not.
    batch_closed = _counter(
        "batches",
        "Batches closed; reason is age, bytes, count, pressure, quota, order, probe or drain",
        "fork",
        "reason",
    )
    batch_events = _histogram("events", "Events a batch", "fork", buckets=[4**n for n in range(9)])
    batch_bytes = _histogram("bytes", "Bodies a batch", "fork", buckets=[4**n for n in range(5, 15)])
    batch_age_seconds = _histogram("seconds", "From opening a batch to closing it", "fork", buckets=_BATCH_SECONDS)
    object_bytes = _counter("bytes", "Objects rendered, compressed and encrypted", "fork")

    # Writes. An attempt is one call of the sink; a batch can take several, and be halved.
    write_attempt_seconds = _histogram(
        "seconds", "One attempt at a write; outcome is written, partial (some of its events failed) or failed",
        "fork", "outcome", buckets=_ATTEMPT_SECONDS,
    )  # fmt: skip
    write_seconds = _histogram(
        "seconds", "From a batch's turn to write until each of its events is decided, retries included",
        "fork", buckets=_BATCH_SECONDS,
    )  # fmt: skip
    retries = _counter(
        "attempts", "Attempts made again in place, the events held meanwhile, by what the one before failed with",
        "fork", "step", "kind", "code",
    )  # fmt: skip
    failures = _counter(
        "events", "Events in failed attempts, by step; kind is transient, permanent, unavailable or bug",
        "fork", "step", "kind", "code",
    )  # fmt: skip

    # How much at once: both are found while it runs, unless the config gives a number.
    pollers = _gauge("receives", "Receives that may be under way", "fork")
    concurrency = _gauge("writes", "Writes that may be under way", "fork")
    writes_under_way = _gauge("writes", "Writes under way", "fork")
    concurrency_changes = _counter(
        "changes", "Changes of how many writes may be under way, by reason", "fork", "reason"
    )

    # What became of events.
    settled = _counter("events", "Events settled; outcome is done, dropped, dead or retry", "fork", "outcome")
    dropped = _counter("events", "Events that a stage dropped, by its reason", "fork", "reason")
    damaged = _counter("events", "Events left out since they arrived with a wrong checksum: they come again", "fork")
    expired = _counter("events", "Events whose settlement was refused for good: they come again", "fork")
    event_age_seconds = _often_in_buckets(
        "seconds", "From an event's sending until it is durable at its destination", "fork", buckets=_EVENT_SECONDS
    )

    # The service itself.
    fork_open = _gauge("0 or 1", "1 while the fork receives as it likes: neither paused nor in trouble", "fork")
    loop_stall_seconds = _gauge(
        "seconds", "Longest time of the last minute in which the process could do nothing else, from 0.1 s on"
    )

    def __init__(self) -> None:
        self.registry = Registry()
        self.made: dict[str, Any] = {
            metric.name: metric.make(metric.name, metric.help, metric.labels, registry=self.registry)
            for metric in declared(Metrics)
        }


class SupervisorMetrics:
    """What only a service of several workers has; it also gives each metric of a worker the label ``worker``."""

    worker_restarts = _counter("restarts", "Worker processes that were started again", "worker")


def declared(metrics: type) -> Iterator[Metric[Any]]:
    """Go through a class's metrics in their order."""
    return (value for value in vars(metrics).values() if isinstance(value, Metric))


def reference() -> str:
    """The README's table."""
    rows = ["| metric | kind | labels | unit | what it tells |", "|---|---|---|---|---|"]
    for metric in (*declared(Metrics), *declared(SupervisorMetrics)):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.exposed}` | {metric.kind} | {labels} | {metric.unit} | {metric.help} |")
    return "\n".join(rows)


_BEGIN, _END = "<!-- python -m forkstream.metrics README.md -->\n", "\n<!-- end -->"


def with_reference(text: str) -> str:
    """A text with the table as it is now between its marks; raises ValueError where they are missing."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"expected the marks {_BEGIN.strip()} and {_END.strip()}")
    return f"{before}{begin}{reference()}{end}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(with_reference(Path(name).read_text()))
