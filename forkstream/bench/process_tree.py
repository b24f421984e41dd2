"""What a process and all of its descendants use: CPU, memory, and time spent waiting for a core."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Of one moment: ``cpu`` in seconds since the start, of processes that have ended too; ``rss`` in bytes.

    ``waited`` are seconds in which threads were ready to run and had no core, None where nobody knows;
    ``largest_rss`` is that of the process that has most.
    """

    cpu: float
    rss: int
    largest_rss: int
    processes: int
    waited: float | None = None


def use_of(root: int) -> Use:
    """Look at a process and its descendants; one that has ended uses nothing."""
    return _use_by_proc(root) if (_PROC / "self/stat").exists() else _use_by_ps(root)


def _use_by_proc(root: int) -> Use:
    stats = dict(_stats())
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    cpu, sizes, waited = 0.0, [0], 0.0
    processes = list(_descendants(root, {pid: stat[0] for pid, stat in stats.items()}))
    for pid in processes:
        _, times, pages = stats[pid]
        cpu += times / ticks
        sizes.append(pages * page)
        waited += _waited(pid)
    return Use(cpu=cpu, rss=sum(sizes), largest_rss=max(sizes), processes=len(processes), waited=waited)


def _stats() -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yield every process: its parent, its ticks of CPU with those of its children that have ended, its pages in memory."""
    for path in _PROC.iterdir():
        if path.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                # the name may hold anything, so count from behind its bracket
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                yield int(path.name), (int(fields[1]), sum(map(int, fields[11:15])), int(fields[21]))


def _waited(pid: int) -> float:
    """Seconds that the threads of a process were kept from running."""
    total = 0
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError, IndexError):
                total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def _use_by_ps(root: int) -> Use:
    """Ask ``ps``, which every POSIX system has; it rounds CPU to hundredths of a second on macOS."""
    told = subprocess.run(
        ["/bin/ps", "-axo", "pid=,ppid=,rss=,time="],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = {int(pid): (int(parent), int(rss), time) for pid, parent, rss, time in map(str.split, told.splitlines())}
    processes = list(_descendants(root, {pid: row[0] for pid, row in rows.items()}))
    sizes = [0, *(rows[pid][1] * 1024 for pid in processes)]
    cpu = sum(read_time(rows[pid][2]) for pid in processes)
    return Use(cpu=cpu, rss=sum(sizes), largest_rss=max(sizes), processes=len(processes))


def read_time(text: str) -> float:
    """Read how ``ps`` writes CPU time: ``[[DD-]HH:]MM:SS[.hh]``, in seconds."""
    days, _, clock = text.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + float(days or 0) * 86400


def _descendants(root: int, parents: dict[int, int]) -> Iterable[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    waiting = [root] if root in parents else []
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])
