"""What a measurement found, as it is printed, stored and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec

from forkstream.bench.machine import Machine
from forkstream.bench.scenario import Target


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds from sent to settled, exact to a millisecond; settled is deleted, some 20 ms after it became durable."""

    p50: float
    p99: float
    p999: float
    most: float

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Percentiles | None:
        """Find them in counts by milliseconds; None where nothing was counted."""
        total = sum(counts.values())
        if not total:
            return None
        wanted = [0.5 * total, 0.99 * total, 0.999 * total, total]
        found: list[float] = []
        seen = 0
        for age in sorted(counts):
            seen += counts[age]
            while len(found) < len(wanted) and seen >= wanted[len(found)]:
                found.append(age / 1000)
        return cls(*found)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Half a second of a run. ``seconds`` count from the start of what is measured."""

    seconds: float
    settled_per_s: float
    cpu_share: float
    stub_share: float
    rss: int
    largest_rss: int
    p50: float | None = None
    p99: float | None = None


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a fresh process, without its start. Shares are of one core."""

    seconds: float
    settled: int
    settled_per_s: float
    cpu_us: float
    """Microseconds of CPU a message, of the whole process tree."""
    cpu_share: float
    stub_share: float
    waited_share: float | None
    """How much longer it would have run, had nobody else used its core."""
    bytes_out: int
    """Bytes of every request that the consumer sent, heads included."""
    rss: int
    largest_rss: int
    rss_growth: float
    """Bytes a second, by a line through the samples."""
    receive_fill: float
    """Messages a receive, of the ten that fit."""
    latency: Percentiles | None
    requests: dict[str, float]
    """What the stub counted, each a settled message."""
    delete_fill: float
    empty_receives: int
    repeated: int
    refused: int
    left_behind: int
    """Messages still hidden after the consumer ended in order."""
    backlog: int
    """Messages that waited at the end of an open loop."""
    service: dict[str, float] = {}
    """What the service counted itself."""
    samples: list[Sample] = []

    @property
    def per_core(self) -> float:
        """Messages a second that one core could settle."""
        return 1e6 / self.cpu_us if self.cpu_us else 0.0


class Hot(msgspec.Struct, frozen=True, kw_only=True):
    """One function of a profile: its own time, without what it calls, as a share of the whole."""

    where: str
    share: float
    calls_per_message: float


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario, config or command with one set of settings, repeated."""

    title: str
    settings: tuple[str, ...] = ()
    target: Target | None = None
    repeats: list[Repeat]
    profile: list[Hot] = []
    areas: dict[str, float] = {}
    """Shares of the profile by part of the code."""
    notes: tuple[str, ...] = ()
    over_tls: list[Repeat] = []
    """The same over TLS, where both were measured."""

    @property
    def tls_cpu_us(self) -> float | None:
        """Microseconds of CPU a message over TLS, the median; None where that was not measured beside."""
        return median(one.cpu_us for one in self.over_tls) if self.over_tls else None

    def middle(self, of: Callable[[Repeat], float]) -> float:
        """The median over the repeats."""
        return median(of(repeat) for repeat in self.repeats)

    def spread(self, of: Callable[[Repeat], float]) -> float:
        """How far the repeats lie apart, as a share of their median."""
        values = [of(repeat) for repeat in self.repeats]
        middle = median(values)
        return (max(values) - min(values)) / middle if middle else 0.0

    @property
    def typical(self) -> Repeat:
        """The repeat in the middle by CPU a message."""
        ordered = sorted(self.repeats, key=lambda repeat: repeat.cpu_us)
        return ordered[(len(ordered) - 1) // 2]

    @property
    def latency(self) -> Percentiles | None:
        """The medians of the repeats' percentiles."""
        found = [repeat.latency for repeat in self.repeats if repeat.latency]
        if not found:
            return None
        return Percentiles(*(median(getattr(one, name) for one in found) for name in Percentiles.__struct_fields__))

    @property
    def name(self) -> str:
        """Title and settings, as a line of a table."""
        return " ".join([self.title, *self.settings])


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What it was measured with."""

    seconds: float
    repeats: int
    workers: int
    rate: float | None
    tls: bool
    latency: float
    sink_latency: float = 0.0
    errors: float
    throttle: float
    bodies: str
    cores: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that one call of the command found."""

    at: str
    command: str
    machine: Machine
    conditions: Conditions
    measurements: list[Measurement]
    sweep: str = ""
    """The setting that was varied."""
    version: int = 1


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast y grows with x, by least squares; 0 for fewer than three points."""
    if len(points) < 3:
        return 0.0
    mean_x, mean_y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    width = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / width if width else 0.0


def added(counts: Sequence[Mapping[int, int]]) -> Counter[int]:
    """Add counts of milliseconds."""
    total: Counter[int] = Counter()
    for one in counts:
        total.update(one)
    return total
