"""A demo that was killed leaves nothing for good: the next one removes it, and no directory that is in use."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forkstream.demo.scratch import scratch

HOLDER = """
import sys, time
from forkstream.demo.scratch import scratch
with scratch() as directory:
    print(directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def another() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_the_directory_of_a_killed_demo_is_removed_by_the_next(temporary: Path) -> None:
    with another() as (process, left):
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert left.exists()
        with scratch() as mine:
            assert list(temporary.iterdir()) == [mine]
    assert not list(temporary.iterdir())


def test_directories_that_are_in_use_or_somebody_elses_stay(temporary: Path) -> None:
    foreign = temporary / "forkstream-demo-of-mine"
    foreign.mkdir()
    with another() as (_, other), scratch() as mine:
        assert {*temporary.iterdir()} == {foreign, other, mine}
