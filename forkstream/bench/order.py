"""What a user asked of ``forkstream bench``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from forkstream.bench.measure import Timing
from forkstream.bench.stub.weather import Climate


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the command; ``subjects`` are names of scenarios, or one config."""

    subjects: tuple[str, ...]
    external: str | None = None
    """A command to measure instead of the service."""
    workers: int = 1
    rate: float | None = None
    """Messages a second of an open loop; None: as fast as it goes."""
    climate: Climate = Climate()
    tls: bool = False
    tls_beside: bool = False
    """Measure each once more over TLS, and show that beside it."""
    deal: int | None = None
    timing: Timing = Timing(2.0, 5.0)
    repeats: int = 3
    patience: float = float("inf")
    """Seconds into a measurement after which no further repeat begins, nor the profile: a busy machine takes its time."""
    events: Path | None = None
    settings: tuple[str, ...] = ()
    sweep: tuple[str, tuple[str, ...]] | None = None
    """A setting, and the values to try."""
    forks: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()
    profile: bool = True
    command: str = "forkstream bench"
