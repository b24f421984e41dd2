"""What is paid, and for what."""

from __future__ import annotations

import msgspec

from forkstream.costs.prices import Prices

MONTH = 730 * 3600.0
"""Seconds of a month, as AWS's own calculator counts it."""


class Line(msgspec.Struct, frozen=True):
    """One thing that is billed: so many units a second, and what they cost in US dollars a month."""

    what: str
    unit: str
    per_second: float
    usd_per_month: float


class Bill(msgspec.Struct, frozen=True):
    """What one fork, or all tasks, are billed for."""

    name: str
    events_per_second: float
    lines: list[Line]

    @property
    def usd_per_month(self) -> float:
        """The sum of the lines."""
        return sum(line.usd_per_month for line in self.lines)

    @classmethod
    def of(cls, name: str, events: float, amounts: list[tuple[str, str, float]], prices: Prices) -> Bill:
        """Price what is billed: (what, unit, units a second) each."""
        return cls(
            name,
            events,
            [Line(what, unit, rate, prices.usd(unit, rate * MONTH)) for what, unit, rate in amounts if rate > 0],
        )
