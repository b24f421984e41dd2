"""This machine: its cores and who runs on which, its limits, and the versions of what is measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

_DISTRIBUTIONS = ("forkstream", "uvloop", "msgspec", "aiohttp", "aiobotocore", "zstandard", "cryptography")


class Cores(msgspec.Struct, frozen=True):
    """Which cores the stub has and which the consumer, so that neither takes time from the other. Empty: not pinned."""

    stub: tuple[int, ...] = ()
    consumer: tuple[int, ...] = ()

    @classmethod
    def divided(cls, workers: int) -> Cores:
        """Give the stub the first core and ``workers`` the next ones, as far as there are more than one."""
        cores = _usable()
        if len(cores) < 2:
            return cls()
        return cls((cores[0],), tuple(cores[1 : 1 + workers]))

    @property
    def told(self) -> str:
        """In words."""
        if not self.stub:
            return "not pinned to cores"
        return f"stub on core {_named(self.stub)}, consumer on core {_named(self.consumer)}"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures were measured: they compare with those of the same machine only."""

    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    cpu_quota: float | None = None
    """Cores that the cgroup allows, None for no limit."""
    memory_limit: int | None = None

    @classmethod
    def here(cls) -> Machine:
        """Look at it."""
        return cls(
            processor=_processor(),
            cores=os.cpu_count() or 1,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            versions=dict(_versions()),
            cpu_quota=_cpu_quota(),
            memory_limit=_memory_limit(),
        )

    @property
    def told(self) -> str:
        """In one line."""
        quota = "" if self.cpu_quota is None else f" (cgroup: {self.cpu_quota:g})"
        return f"{self.processor}, {self.cores} cores{quota}, {self.system}, Python {self.python}"


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cores: Collection[int] = (),
    *,
    stdin: int | None = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, on these cores if it can be pinned; it says what it has to say in ``log``."""
    with log.open("ab") as output, _pinned(cores):  # a child has its parent's cores from its first moment
        return subprocess.Popen(
            command, env=dict(environment), stdin=stdin, stdout=output, stderr=output, start_new_session=True
        )


@contextmanager
def _pinned(cores: Collection[int]) -> Iterator[None]:
    if not cores or not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _usable() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []  # macOS lets nobody choose


def _named(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Read the cgroup's limit, of version 2 or 1."""
    return _read("/sys/fs/cgroup/cpu.max", _quota) or _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", _old_quota)


def _memory_limit() -> int | None:
    limit = _read("/sys/fs/cgroup/memory.max", float) or _read("/sys/fs/cgroup/memory/memory.limit_in_bytes", float)
    return None if limit is None or limit > 2**50 else int(limit)


def _read(path: str, parse: Callable[[str], float | None]) -> float | None:
    with suppress(OSError, ValueError):
        return parse(Path(path).read_text())
    return None


def _quota(text: str) -> float | None:
    quota, period = text.split()
    return None if quota == "max" else int(quota) / int(period)


def _old_quota(text: str) -> float | None:
    return None if int(text) < 0 else int(text) / 100_000


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_implementation()} {sys.version.split()[0]}"
    for name in _DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            yield name, version(name)
