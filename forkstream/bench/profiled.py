"""``python -m forkstream.bench.profiled FILE run CONFIG``: the service under a profiler, which slows it about twofold.

SIGUSR1 begins the profile, SIGUSR2 ends it and writes FILE. Only the main thread is seen, where the loop runs.
"""

from __future__ import annotations

import cProfile
import pstats
import signal
import sys
from pathlib import Path

import msgspec

from forkstream.cli import main as forkstream


class Function(msgspec.Struct, frozen=True):
    """One function: its file, first line and name, how often it was called, seconds of its own."""

    file: str
    line: int
    name: str
    calls: int
    own: float


def main() -> None:
    """Run the service in this process."""
    target = Path(sys.argv[1])
    profile = cProfile.Profile()
    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    signal.signal(signal.SIGUSR2, lambda *_: _write(profile, target))
    forkstream(sys.argv[2:])


def _write(profile: cProfile.Profile, target: Path) -> None:
    profile.disable()
    profile.create_stats()
    found = [
        Function(file, line, name, calls, own)
        for (file, line, name), (_, calls, own, _, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]  # documented by its use only
    ]
    part = target.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(found))
    part.replace(target)


if __name__ == "__main__":
    main()
