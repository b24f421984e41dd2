"""What changed since an earlier report, and whether that is more than the repeats differ by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from forkstream.bench.figures import Measurement, Repeat, Report
from forkstream.errors import CommandError

_FIGURES: tuple[tuple[str, Callable[[Repeat], float], bool], ...] = (
    ("CPU µs a message", lambda one: one.cpu_us, False),
    ("settled/s", lambda one: one.settled_per_s, True),
    ("p99 of age, ms", lambda one: one.latency.p99 * 1000 if one.latency else 0.0, False),
    ("RSS of a process, MiB", lambda one: one.largest_rss / 2**20, False),
)
_UNKNOWN_NOISE = 0.15
"""What is taken for the spread where there was one repeat only."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure then and now. ``noise`` is the larger spread of the two, as a share."""

    name: str
    figure: str
    before: float
    after: float
    noise: float
    more_is_better: bool

    @property
    def share(self) -> float:
        """The change as a share of what it was."""
        return self.after / self.before - 1 if self.before else 0.0

    @property
    def verdict(self) -> str:
        """``good``, ``bad``, or nothing where it lies within the noise."""
        if abs(self.share) <= max(self.noise, 0.02):
            return ""
        return "good" if (self.share > 0) == self.more_is_better else "bad"

    @property
    def told(self) -> str:
        """In words."""
        return {"good": "better", "bad": "worse", "": f"within the noise of {max(self.noise, 0.02):.0%}"}[self.verdict]


def read_report(path: Path) -> Report:
    """Read a report that ``--json`` printed; raises CommandError where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise CommandError(f"--compare: {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CommandError(f"--compare: {path} is no report: make one by `forkstream bench --json > {path}`") from None


def compare(before: Report, after: Report) -> list[Change]:
    """Compare what both measured, by name; raises CommandError where that is nothing."""
    earlier = {found.name: found for found in before.measurements}
    changes = [
        change for found in after.measurements if found.name in earlier for change in _of(earlier[found.name], found)
    ]
    if not changes:
        names = ", ".join(earlier)
        raise CommandError(
            f"--compare: the earlier report has only {names}: measure the same again, or compare another"
        )
    return changes


def doubts(before: Report, after: Report) -> Iterator[str]:
    """Why the two might not compare."""
    if before.machine.processor != after.machine.processor or before.machine.cores != after.machine.cores:
        yield f"the earlier report is of another machine: {before.machine.told}"
    if before.machine.python != after.machine.python:
        yield f"the earlier report is of Python {before.machine.python}"
    names = [name for name in before.conditions.__struct_fields__ if name not in ("repeats", "seconds", "cores")]
    differing = [name for name in names if getattr(before.conditions, name) != getattr(after.conditions, name)]
    if differing:
        yield f"measured under other conditions then: {', '.join(differing)}"


def _noise(found: Measurement, value: Callable[[Repeat], float]) -> float:
    return found.spread(value) if len(found.repeats) > 1 else _UNKNOWN_NOISE


def _of(before: Measurement, after: Measurement) -> Iterator[Change]:
    for figure, value, more_is_better in _FIGURES:
        yield Change(
            name=after.name,
            figure=figure,
            before=before.middle(value),
            after=after.middle(value),
            noise=max(_noise(before, value), _noise(after, value)),
            more_is_better=more_is_better,
        )
