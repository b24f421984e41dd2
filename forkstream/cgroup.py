"""What this process may use of the machine, as its container says."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_PARTS = ("quota", "period")
_NO_LIMIT = 2**60
"""A cgroup of version 1 without a limit of memory tells the largest number of pages instead, which is beyond this."""


class Cgroup:
    """The control group of this process, of version 2 or 1; each limit is the least of its own and its parents'.

    Where there are no control groups (macOS), or none that can be read, nothing is limited.
    """

    def __init__(self, root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> None:
        self._root = root
        self._membership = membership

    def cpus(self) -> float | None:
        """Processors' worth of time that it may use, such as 0.5; None without a quota."""
        quotas = [_ratio(text) for text in self._texts("", "cpu.max")]
        directories = self._directories("cpu")
        quotas += [_ratio(" ".join(_read(path / f"cpu.cfs_{part}_us") for part in _PARTS)) for path in directories]
        return min((quota for quota in quotas if quota), default=None)

    def memory(self) -> int | None:
        """Bytes that it may use; None without a limit."""
        texts = [*self._texts("", "memory.max"), *self._texts("memory", "memory.limit_in_bytes")]
        limits = [int(text) for text in texts if text.isdigit()]
        return min((limit for limit in limits if 0 < limit < _NO_LIMIT), default=None)

    def _texts(self, controller: str, name: str) -> Iterator[str]:
        for directory in self._directories(controller):
            yield _read(directory / name)

    def _directories(self, controller: str) -> Iterator[Path]:
        """Yield the group's directory under a controller of version 1, or under version 2 for "", and all above it.

        A container often sees its own group as the root, whatever name the host has for it.
        """
        root = self._root / controller
        for line in _read(self._membership).splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                group = root / path.lstrip("/")
                yield from (directory for directory in (group, *group.parents) if directory.is_relative_to(root))
                return
        yield root


def workers_for(text: str, cgroup: Cgroup | None = None) -> int:
    """Read how many workers are wanted: a number, or ``auto`` for one for each processor, or part of one, that the container may use.

    Raises ValueError for anything else.
    """
    if text == "auto":
        quota = (cgroup or Cgroup()).cpus()
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(usable, math.ceil(quota or usable)))
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise ValueError(f"expected auto or a number from 1 to 256, found {text!r}")
    return int(text)


def _ratio(text: str) -> float | None:
    quota, _, period = text.partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
