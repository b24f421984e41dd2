"""How many tasks a rate of events takes, by the CPU that an event costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.resources import files
from typing import Self

import msgspec
import yaml

BUSY = 0.6
"""How busy a task is meant to be, so that it catches up after a stop and stands a neighbour's failure."""
_SIZES = [(0.25, 0.5), (0.5, 1.0), (1.0, 2.0)]
"""Fargate's smaller sizes, vCPU and GB; a worker is one process, so a larger one would need several of them."""


class Figures(msgspec.Struct, frozen=True):
    """CPU microseconds an event, by the sink's name; ``other`` for those not measured."""

    date: str
    measured: str
    cpu_us: dict[str, float]

    @classmethod
    def read(cls) -> Self:
        """Read those that are shipped."""
        return msgspec.convert(yaml.safe_load(files(__package__).joinpath("figures.yaml").read_text()), cls)

    def of(self, sink: str) -> float:
        """Look up a sink."""
        return self.cpu_us.get(sink, self.cpu_us["other"])


class Tasks(msgspec.Struct, frozen=True):
    """So many tasks of one size. ``busy`` is the share of their CPU that the events take."""

    count: int
    vcpu: float
    gigabytes: float
    busy: float

    @classmethod
    def sized(cls, cpu: Iterable[tuple[float, float]], *, count: int | None = None) -> Self:
        """Size tasks for (events a second, microseconds an event) of each fork; a ``count`` given stays."""
        cores = sum(events * microseconds for events, microseconds in cpu) / 1e6
        wanted = cores / BUSY / (count or 1)
        vcpu, gigabytes = next((size for size in _SIZES if size[0] >= wanted), _SIZES[-1])
        count = count or max(1, math.ceil(wanted / vcpu))
        return cls(count, vcpu, gigabytes, cores / (count * vcpu))

    def billed(self) -> list[tuple[str, str, float]]:
        """What Fargate bills for them, a second."""
        return [
            ("tasks", "fargate_vcpu_hour", self.count * self.vcpu / 3600),
            ("tasks", "fargate_gb_hour", self.count * self.gigabytes / 3600),
        ]
