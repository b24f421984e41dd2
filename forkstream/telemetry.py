"""Every metric and every log line about failures: declared once, here.

Metrics are updated per receive, per batch or per attempt, never per event. Labels hold names and codes only.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import anyio
import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as Count
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnexpectedError

_NAME = re.compile(r"[A-Za-z0-9_.:/ -]{1,80}")

AGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)


class AgeHistogram(Collector):
    """Seconds from sending to durable, per fork; a whole batch is observed in one pass."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()

    def observe(self, fork: str, sent_at: Sequence[float], now: float) -> None:
        """Observe events sent at these moments (seconds since the epoch) as durable ``now``."""
        counts = self._counts.setdefault(fork, [0] * (len(AGE_BUCKETS) + 1))
        total = 0.0
        for sent in sent_at:
            age = max(0.0, now - sent)
            total += age
            counts[bisect.bisect_left(AGE_BUCKETS, age)] += 1
        self._sums[fork] += total  # type: ignore[assignment]  # typeshed's Counter counts only in whole numbers

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What Prometheus asks for: cumulative buckets."""
        family = HistogramMetricFamily(
            "forkstream_event_age_seconds",
            "Age of events when they became durable, from their sending",
            labels=["fork"],
        )
        for fork, counts in self._counts.items():
            buckets, total = [], 0
            for bound, count in zip([*map(str, AGE_BUCKETS), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric([fork], buckets, sum_value=self._sums[fork])
        yield family


class Registry(CollectorRegistry):
    """A registry without the ``_created`` series that every counter and histogram has of its own: twice as much to store.

    prometheus-client can switch them off for the whole process only, which may not be ours alone.
    """

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Metrics:
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = Registry()
        by_fork = ["fork"]
        self.received = Count("forkstream_received", "Events received", by_fork, registry=registry)
        self.received_bytes = Count("forkstream_received_bytes", "Bytes of bodies received", by_fork, registry=registry)
        self.receives = Count("forkstream_receives", "Receives answered", [*by_fork, "fill"], registry=registry)
        self.settled = Count("forkstream_settled", "Events settled", [*by_fork, "outcome"], registry=registry)
        self.dropped = Count("forkstream_dropped", "Events dropped by a stage", [*by_fork, "reason"], registry=registry)
        self.expired = Count(
            "forkstream_expired", "Settlements refused for good: the event comes again", by_fork, registry=registry
        )
        self.failures = Count(
            "forkstream_failures", "Events in failed steps", [*by_fork, "step", "kind", "code"], registry=registry
        )
        self.damaged = Count(
            "forkstream_damaged", "Events left out, since what was received had a wrong checksum: they come again",
            by_fork, registry=registry,
        )  # fmt: skip
        self.extensions = Count("forkstream_visibility_extensions", "Visibility extended", by_fork, registry=registry)
        self.closed = Count("forkstream_batch_closed", "Batches closed", [*by_fork, "reason"], registry=registry)
        self.batch_events = Histogram(
            "forkstream_batch_events", "Events a batch", by_fork, buckets=[4**n for n in range(9)], registry=registry
        )
        self.batch_bytes = Histogram(
            "forkstream_batch_bytes", "Bytes of bodies a batch", by_fork,
            buckets=[4**n for n in range(5, 15)], registry=registry,
        )  # fmt: skip
        self.object_bytes = Count("forkstream_object_bytes", "Bytes of objects rendered", by_fork, registry=registry)
        self.write_seconds = Histogram(
            "forkstream_write_seconds", "Seconds a batch took to be decided, retries included", by_fork,
            registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge("forkstream_in_flight_events", "Events held", by_fork, registry=registry)
        self.in_flight_bytes = Gauge("forkstream_in_flight_bytes", "Bytes of bodies held", by_fork, registry=registry)
        self.pollers = Gauge("forkstream_pollers", "Receives that may be under way", by_fork, registry=registry)
        self.concurrency = Gauge("forkstream_concurrency", "Writes that may be under way", by_fork, registry=registry)
        self.writing = Gauge("forkstream_writes_under_way", "Writes under way", by_fork, registry=registry)
        self.changes = Count(
            "forkstream_concurrency_changes", "Changes of how many writes may be under way", [*by_fork, "reason"],
            registry=registry,
        )  # fmt: skip
        self.backlog = Gauge("forkstream_backlog_events", "Events waiting at the source", by_fork, registry=registry)
        self.state = Gauge("forkstream_fork_open", "1 while the fork receives as it likes", by_fork, registry=registry)
        self.ages = AgeHistogram()
        registry.register(self.ages)


class Names:
    """Bounds what labels and log lines can hold: so many different names, each short and plain.

    A plugin that puts a value of its events into a code or a reason would show it to everybody, and each value would
    be a metric of its own, for ever.
    """

    MOST = 100
    OTHER, MALFORMED = "other", "malformed"

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: object) -> str:
        """The name itself, ``malformed`` if it is none, ``other`` beyond the first hundred."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return self.MALFORMED
        if name not in self._known and len(self._known) >= self.MOST:
            return self.OTHER
        self._known.add(name)
        return name


class Meter:
    """One fork's metrics, and its totals for those who look at it."""

    def __init__(self, metrics: Metrics, fork: str) -> None:
        self._metrics = metrics
        self.fork = fork
        self.failure_log = FailureLog(fork)
        self.received_total = 0
        self.failed_total = 0
        self.last_failure: str | None = None
        self._codes = Names()
        self._reasons = Names()
        self._received = metrics.received.labels(fork)
        self._received_bytes = metrics.received_bytes.labels(fork)
        self._object_bytes = metrics.object_bytes.labels(fork)

    def received(self, events: int, size: int, limit: int) -> None:
        """One receive was answered with so many events, of at most ``limit``."""
        self.received_total += events
        self._received.inc(events)
        self._received_bytes.inc(size)
        fill = "empty" if not events else "full" if events >= limit else "part"
        self._metrics.receives.labels(self.fork, fill).inc()

    def dropped(self, reason: str, events: int) -> None:
        """A stage dropped events."""
        self._metrics.dropped.labels(self.fork, self._reasons(reason)).inc(events)

    def closed(self, reason: str, events: int, size: int) -> None:
        """A batch was closed."""
        self._metrics.closed.labels(self.fork, reason).inc()
        self._metrics.batch_events.labels(self.fork).observe(events)
        self._metrics.batch_bytes.labels(self.fork).observe(size)

    def rendered(self, size: int) -> None:
        """An object was rendered, of so many bytes."""
        self._object_bytes.inc(size)

    def written(self, sent_at: Sequence[float], now: float) -> None:
        """Events became durable."""
        self._metrics.ages.observe(self.fork, sent_at, now)

    def decided(self, seconds: float) -> None:
        """A batch was decided."""
        self._metrics.write_seconds.labels(self.fork).observe(seconds)

    def failed(self, step: str, error: DeliveryError, events: int) -> None:
        """Events failed in a step: counted, and logged with others of the same code."""
        kind, code = kind_of(error), self._codes(error.code)
        self.failed_total += events
        self.last_failure = code
        self._metrics.failures.labels(self.fork, step, kind, code).inc(events)
        self.failure_log.note(step, kind, code, events)

    def settled(self, totals: dict[str, int], expired: int, extended: int) -> None:
        """Bring the counters of settlement up to these totals."""
        for outcome, total in totals.items():
            _raise_to(self._metrics.settled.labels(self.fork, outcome), total)
        _raise_to(self._metrics.expired.labels(self.fork), expired)
        _raise_to(self._metrics.extensions.labels(self.fork), extended)

    def holding(self, events: int, size: int, *, is_open: bool) -> None:
        """What the fork holds now, and whether it receives."""
        self._metrics.in_flight.labels(self.fork).set(events)
        self._metrics.in_flight_bytes.labels(self.fork).set(size)
        self._metrics.state.labels(self.fork).set(is_open)

    def pace(self, pollers: int, concurrency: int, writing: int) -> None:
        """How many receives and writes may be under way, and how many writes are."""
        self._metrics.pollers.labels(self.fork).set(pollers)
        self._metrics.concurrency.labels(self.fork).set(concurrency)
        self._metrics.writing.labels(self.fork).set(writing)

    def concurrency_changed(self, reason: str) -> None:
        """Another number of writes may be under way."""
        self._metrics.changes.labels(self.fork, reason).inc()

    def damaged(self, total: int) -> None:
        """So many events were left out by the source until now."""
        _raise_to(self._metrics.damaged.labels(self.fork), total)

    def waiting(self, events: int) -> None:
        """What waits at the source."""
        self._metrics.backlog.labels(self.fork).set(events)


class FailureLog:
    """Failures as log lines: the first of a kind at once, then a count at most every 10 seconds."""

    INTERVAL = 10.0

    def __init__(self, fork: str) -> None:
        self._log = structlog.get_logger("forkstream").bind(fork=fork)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._logged_at: dict[tuple[str, str, str], float] = {}

    def note(self, step: str, kind: str, code: str, events: int) -> None:
        """Count failed events."""
        self._counts[step, kind, code] += events
        self.flush()

    def flush(self, *, everything: bool = False) -> None:
        """Write the lines that are due."""
        now = anyio.current_time()
        for key in list(self._due(now, everything=everything)):
            step, kind, code = key
            self._log.warning("failed", step=step, kind=kind, code=code, events=self._counts.pop(key))
            self._logged_at[key] = now

    def _due(self, now: float, *, everything: bool) -> Iterator[tuple[str, str, str]]:
        for key in self._counts:
            if everything or now - self._logged_at.get(key, float("-inf")) >= self.INTERVAL:
                yield key


def kind_of(error: DeliveryError) -> str:
    """Name an error's kind as metrics and logs do."""
    if isinstance(error, TransientError):
        return "transient"
    if isinstance(error, UnexpectedError):
        return "bug"
    return "permanent" if isinstance(error, PermanentError) else "unavailable"


def _raise_to(counter: Count, total: int) -> None:
    counter.inc(max(0, total - counter._value.get()))  # noqa: SLF001  # prometheus-client has no way to set a counter
