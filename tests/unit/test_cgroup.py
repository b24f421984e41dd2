"""What a container may use is read from its control group, of either version, wherever in the tree it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forkstream.cgroup import Cgroup, workers_for


def cgroup(tmp_path: Path, files: dict[str, str], membership: str = "0::/\n") -> Cgroup:
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(membership)
    return Cgroup(tmp_path / "fs", tmp_path / "membership")


@pytest.mark.parametrize(
    ("files", "membership", "cpus", "memory"),
    [
        ({"cpu.max": "150000 100000\n", "memory.max": "536870912\n"}, "0::/\n", 1.5, 2**29),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, "0::/\n", None, None),
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000", "a/memory.max": "1024"}, "0::/a/b\n", 4.0, 1024),
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, "0::/a/b\n", 2.0, None),
        ({"cpu.max": "50000 100000"}, "0::/name/on/the/host\n", 0.5, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/\n", None, None),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu,cpuacct:/\n", 2.5, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, "5:memory:/\n", None, None),
        ({"memory/x/memory.limit_in_bytes": "268435456"}, "5:memory:/x\n", None, 2**28),
        ({"cpu.max": "nonsense", "memory.max": ""}, "", None, None),
        ({}, "", None, None),
    ],
)
def test_the_least_limit_on_the_way_up_counts(
    tmp_path: Path, files: dict[str, str], membership: str, cpus: float | None, memory: int | None
) -> None:
    found = cgroup(tmp_path, files, membership)
    assert (found.cpus(), found.memory()) == (cpus, memory)


@pytest.mark.parametrize(("quota", "workers"), [("10000", 1), ("100000", 1), ("150000", 2), ("800000", 4), ("max", 4)])
def test_auto_is_the_quota_rounded_up_and_never_more_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert workers_for("auto", cgroup(tmp_path, {"cpu.max": f"{quota} 100000"})) == workers


def test_a_number_is_a_number() -> None:
    assert workers_for("3") == 3


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "257", "AUTO"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="auto or a number from 1 to 256"):
        workers_for(text)
