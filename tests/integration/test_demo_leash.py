"""A process on a leash ends with whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

from forkstream.demo import leash

PROGRAM = """
import subprocess, sys, time
if sys.argv[1] == "end":
    sys.exit(int(sys.argv[2]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@contextmanager
def leashed(directory: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-m", "forkstream.demo.leash", "program", *arguments],
        cwd=directory,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_runs_a_module_with_its_arguments(tmp_path: Path) -> None:
    with leashed(tmp_path, "end", "7") as process:
        assert process.wait(60) == 7


def test_when_the_leash_is_gone_so_is_all_of_its_group_and_its_directory(tmp_path: Path) -> None:
    directory = tmp_path / "left"
    directory.mkdir()
    (directory / "file").touch()
    with leashed(tmp_path, "stay", **{leash.DIRECTORY: str(directory)}) as process:
        assert process.stdin
        assert process.stdout
        child = int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(60) == -9
        until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
        until(lambda: not directory.exists())
