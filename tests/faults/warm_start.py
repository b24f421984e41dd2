"""Services that are started again and again: forked from one process that has imported all they need, a second each.

Only the start of Python and its imports are left out; what is forked runs ``main`` as any other.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MODULES = (
    "aioboto3", "uvloop", "forkstream.cli.run", "forkstream.sources.sqs", "forkstream.sinks.s3", "forkstream.sinks.sqs",
    "forkstream.stages.compress", "forkstream.stages.encrypt", "forkstream.stages.index", "forkstream.stages.sanitize",
    "forkstream_checkout.table", "forkstream_duckdb.sink",
)  # fmt: skip


class Forked:
    """A process that was forked from the warm one, as far as ``subprocess.Popen`` is needed of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs; how it ended is not known."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing if it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it now."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it is gone."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("forkstream", timeout)
            time.sleep(0.002)
        return 0


class WarmStart:
    """Starts services: ``warm.start(["run", "forkstream.yaml"], environment, log)``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> Forked:
        """Start ``forkstream`` with these arguments; its output goes to the end of the log."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([arguments, environment, str(log)]), file=self._process.stdin, flush=True)
        return Forked(int(self._process.stdout.readline()))


@contextmanager
def warm_start() -> Iterator[WarmStart]:
    """Import everything, in a process that ends with the block; its children are their starter's to end."""
    # its own coverage would be that of imports, and what is killed reports none
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with subprocess.Popen(
        [sys.executable, __file__], env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield WarmStart(process)


def _serve() -> None:
    for module in _MODULES:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children: none becomes a zombie
    for line in sys.stdin:
        arguments, environment, log = json.loads(line)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(arguments, environment, log)
        print(pid, flush=True)  # noqa: T201  # the answer


def _become(arguments: list[str], environment: dict[str, str], log: str) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(opened, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["forkstream", *arguments]
    importlib.import_module("forkstream.cli").main()
    os._exit(0)


if __name__ == "__main__":
    _serve()
