"""A process tree's use is read from /proc or from ps, and both agree; settings become variables, variables get values."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from forkstream.bench.bodies import plain_orders, write_bodies
from forkstream.bench.job import Job
from forkstream.bench.machine import Machine
from forkstream.bench.process_tree import _use_by_proc, _use_by_ps, read_time, use_of
from forkstream.bench.scenario import SCENARIOS
from forkstream.config.loading import load_config
from forkstream.errors import CommandError
from forkstream.event import encode_json

BUSY = "import subprocess, sys, time\nx = bytearray(30_000_000)\nfor _ in range(3_000_000): pass\nprint('ready', flush=True)\nsys.stdin.read()"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"


def test_the_use_of_a_tree_is_that_of_its_descendants_too() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        used = [use_of(process.pid), _use_by_ps(process.pid)]
        if Path("/proc/self/stat").exists():
            used.append(_use_by_proc(process.pid))
        process.stdin.close()
    for use in used:
        assert use.processes == 2
        assert 30_000_000 < use.largest_rss < use.rss
    assert used[0].cpu > 0.02  # ps knows whole seconds only, on Linux
    assert all(use.cpu < 30 for use in used)
    deadline = time.monotonic() + 10
    while use_of(process.pid).processes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert use_of(process.pid).rss == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:00.07", 0.07), ("01:02:03", 3723.0), ("2-00:00:01", 172801.0), ("75:10", 4510.0)]
)
def test_times_are_read_as_ps_writes_them(text: str, seconds: float) -> None:
    assert read_time(text) == pytest.approx(seconds)


def test_the_machine_is_named_with_its_versions() -> None:
    here = Machine.here()
    assert here.versions["forkstream"]
    assert here.cores >= 1
    assert here.python in here.told


def test_settings_become_the_variables_that_the_service_reads(tmp_path: Path) -> None:
    job = Job.of_scenario(SCENARIOS["backup"], tmp_path, {}, "http://127.0.0.1:1")
    changed = job.setting(["forks.backup.batch.max_age=1s", "forks.backup.stages[1].compress.level=9"])
    assert changed.environment["FORKSTREAM_FORKS__BACKUP__BATCH__MAX_AGE"] == "1s"
    loaded = load_config(str(changed.config), environ=changed.environment)
    assert loaded.plans[0].settings.batch.max_age == 1.0
    assert loaded.plans[0].object_stages[0].config.level == 9  # type: ignore[attr-defined]  # the zstd stage's
    for wrong in ("forks.backup", "=1", "forks.backup.batch.max_age", "a=1"):
        with pytest.raises(CommandError, match="expected PATH=VALUE"):
            job.setting([wrong])


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_a_config_without_a_problem(name: str, tmp_path: Path) -> None:
    job = Job.of_scenario(SCENARIOS[name], tmp_path, {}, "http://127.0.0.1:1")
    job.check()
    assert "client: native" in job.config.read_text()


def test_orders_of_our_own_have_the_shape_and_size_of_the_shops(tmp_path: Path) -> None:
    sizes = [len(encode_json(order)) for order, _ in zip(plain_orders(1), range(500), strict=False)]
    assert 550 < sum(sizes) / 500 < 750
    assert len({encode_json(order) for order, _ in zip(plain_orders(1), range(500), strict=False)}) == 500
    target = tmp_path / "bodies"
    assert write_bodies(target, None).startswith("8,192 different orders")
    assert len(set(target.read_bytes().split(b"\n"))) == 8192


def test_a_file_of_events_is_read_or_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "events"
    with pytest.raises(CommandError, match="No such file"):
        write_bodies(tmp_path / "bodies", path)
    for content, word in ((b"\n\n", "is empty"), (b"\xff\n", "no text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(CommandError, match=word):
            write_bodies(tmp_path / "bodies", path)
    path.write_bytes(b"{}\n\n[1]\n")
    assert write_bodies(tmp_path / "bodies", path).startswith("2 different events")
