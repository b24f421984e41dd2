"""What one fork tells about itself: its metrics, its totals, and its log lines about failures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import anyio
import structlog
from prometheus_client import Counter as Count

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnexpectedError
from forkstream.metrics import Metrics

_NAME = re.compile(r"[A-Za-z0-9_.:/ -]{1,80}")


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
        self.event_age: float | None = None
        """The mean age of the events that became durable last, from their sending (seconds)."""
        self._codes = Names()
        self._reasons = Names()
        self._receives = {
            fill: (metrics.receives.labels(fork, fill), metrics.receive_seconds.labels(fork, fill))
            for fill in ("empty", "part", "full")
        }
        self._event_age = metrics.event_age_seconds.labels(fork)
        self._received = metrics.received.labels(fork)
        self._received_bytes = metrics.received_bytes.labels(fork)
        self._object_bytes = metrics.object_bytes.labels(fork)
        self._batch_events = metrics.batch_events.labels(fork)
        self._batch_bytes = metrics.batch_bytes.labels(fork)
        self._batch_age = metrics.batch_age_seconds.labels(fork)

    def received(self, events: int, size: int, limit: int, seconds: float) -> None:
        """One receive was answered with so many events, of at most ``limit``, after so long."""
        self.received_total += events
        self._received.inc(events)
        self._received_bytes.inc(size)
        fill = "empty" if not events else "full" if events >= limit else "part"
        count, latency = self._receives[fill]
        count.inc()
        latency.observe(seconds)

    def dropped(self, reason: str, events: int) -> None:
        """A stage dropped events."""
        self._metrics.dropped.labels(self.fork, self._reasons(reason)).inc(events)

    def closed(self, reason: str, events: int, size: int, seconds: float) -> None:
        """A batch was closed, so long after it was opened."""
        self._metrics.batch_closed.labels(self.fork, reason).inc()
        self._batch_events.observe(events)
        self._batch_bytes.observe(size)
        self._batch_age.observe(seconds)

    def rendered(self, bodies: int, size: int) -> None:  # noqa: ARG002  # counted as they were received
        """An object was rendered from bodies of so many bytes, of so many bytes."""
        self._object_bytes.inc(size)

    def written(self, sent_at: Sequence[float], now: float) -> None:
        """Events became durable."""
        self.event_age = self._event_age.observe_ages(sent_at, now)

    def attempted(self, outcome: str, seconds: float) -> None:
        """An attempt at a write ended: ``written``, ``partial`` or ``failed``."""
        self._metrics.write_attempt_seconds.labels(self.fork, outcome).observe(seconds)

    def decided(self, seconds: float) -> None:
        """A batch was decided."""
        self._metrics.write_seconds.labels(self.fork).observe(seconds)

    def retried(self, step: str, error: DeliveryError) -> None:
        """What failed with this error is attempted again in place."""
        self._metrics.retries.labels(self.fork, step, kind_of(error), self._codes(error.code)).inc()

    def failed(self, step: str, error: DeliveryError, events: int) -> None:
        """Events failed in a step: counted, and logged with others of the same code."""
        kind, code = kind_of(error), self._codes(error.code)
        self.failed_total += events
        self.last_failure = code
        self._metrics.failures.labels(self.fork, step, kind, code).inc(events)
        place = error.place if isinstance(error, UnexpectedError) else ""
        self.failure_log.note(step, kind, code, events, place)

    def settled(self, totals: dict[str, int], expired: int, extended: int) -> None:
        """Bring the counters of settlement up to these totals."""
        for outcome, total in totals.items():
            _raise_to(self._metrics.settled.labels(self.fork, outcome), total)
        _raise_to(self._metrics.expired.labels(self.fork), expired)
        _raise_to(self._metrics.visibility_extensions.labels(self.fork), extended)

    def holding(self, events: int, size: int, *, used: float, is_open: bool) -> None:
        """What the fork holds now, which share of its budget that is, and whether it receives."""
        self._metrics.in_flight_events.labels(self.fork).set(events)
        self._metrics.in_flight_bytes.labels(self.fork).set(size)
        self._metrics.budget_used.labels(self.fork).set(used)
        self._metrics.fork_open.labels(self.fork).set(is_open)

    def pace(self, pollers: int, concurrency: int, writing: int) -> None:
        """How many receives and writes may be under way, and how many writes are."""
        self._metrics.pollers.labels(self.fork).set(pollers)
        self._metrics.concurrency.labels(self.fork).set(concurrency)
        self._metrics.writes_under_way.labels(self.fork).set(writing)

    def concurrency_changed(self, reason: str) -> None:
        """Another number of writes may be under way."""
        self._metrics.concurrency_changes.labels(self.fork, reason).inc()

    def damaged(self, total: int) -> None:
        """So many events were left out by the source until now."""
        _raise_to(self._metrics.damaged.labels(self.fork), total)

    def waiting(self, events: int) -> None:
        """What waits at the source."""
        self._metrics.backlog_events.labels(self.fork).set(events)


class FailureLog:
    """Failures as log lines: the first of a kind at once, then a count at most every 10 seconds; of a bug, the line of source."""

    INTERVAL = 10.0

    def __init__(self, fork: str) -> None:
        self._log = structlog.get_logger("forkstream").bind(fork=fork)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._places: dict[tuple[str, str, str], str] = {}
        self._logged_at: dict[tuple[str, str, str], float] = {}

    def note(self, step: str, kind: str, code: str, events: int, place: str = "") -> None:
        """Count failed events; of those in one line, the last one's place is told."""
        self._counts[step, kind, code] += events
        if place:
            self._places[step, kind, code] = place
        self.flush()

    def flush(self, *, everything: bool = False) -> None:
        """Write the lines that are due."""
        now = anyio.current_time()
        for key in list(self._due(now, everything=everything)):
            step, kind, code = key
            at = {"at": self._places.pop(key)} if key in self._places else {}
            self._log.warning("failed", step=step, kind=kind, code=code, events=self._counts.pop(key), **at)
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
