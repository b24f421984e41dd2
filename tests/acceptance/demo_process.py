"""`forkstream demo` as a person starts it: a process in a session of its own, of which everything can be found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

LIMIT = 120.0
"""Seconds until a test gives up: the machine may be busy with other tests."""
MARK = "FOUND_BY_THIS_TEST"


class DemoProcess:
    """One demo. Its temporary files go to ``directory``, its processes carry a mark in their environment.

    ``measured`` counts its code as covered, and that of the dozen processes that it starts: it takes half as long again.
    """

    def __init__(self, directory: Path, *options: str, measured: bool = False) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._out, self._err = directory / "out", directory / "err"
        self._mark = uuid.uuid4().hex
        inherited = {name: value for name, value in os.environ.items() if measured or not name.startswith("COV")}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "forkstream", "demo", *options],
                env=inherited | {"TMPDIR": str(self.temporary), MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, words: str, *, after: str = "") -> None:
        """Wait until it has printed these words, ``after`` others."""
        deadline = time.monotonic() + LIMIT
        while words not in self.out.partition(after)[2] if after else words not in self.out:
            assert self.process.poll() is None, f"it ended before {words!r}:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {words!r} in\n{self.out}\n{self.err}"
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> int:
        """Send a signal as a terminal does, to the whole group; returns the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(LIMIT)

    def left(self) -> list[str]:
        """What it has left behind: its processes, and its temporary files."""
        return [*map(str, self._processes()), *map(str, self.temporary.iterdir())]

    def nothing_left(self) -> bool:
        """Wait until nothing is left behind; False if something stays."""
        deadline = time.monotonic() + 60
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.left()

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mine = process.environ().get(MARK) == self._mark or str(self.temporary) in " ".join(process.cmdline())
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def kill_all(self) -> None:
        """Leave nothing to the next test, whatever this one has found."""
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()


@contextmanager
def demo(directory: Path, *options: str, measured: bool = False) -> Iterator[DemoProcess]:
    """Start a demo; whatever it leaves behind ends with the block."""
    process = DemoProcess(directory, *options, measured=measured)
    try:
        yield process
    finally:
        process.kill_all()
