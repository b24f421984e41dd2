"""What is measured: the service as it ships, or any other command, in a process of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from forkstream.bench.job import Job
from forkstream.bench.machine import start
from forkstream.bench.process_tree import Use, use_of
from forkstream.cli.admin_client import AdminClient
from forkstream.errors import CommandError

_STOP_SECONDS = 50.0

Metrics = Counter[tuple[str, str]]
"""Values by metric and by its one label beside the fork, summed over the forks."""


class Consumer:
    """Runs ``command`` for a block. It ends with the block, and with this process, however that ends."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, cores: Collection[int] = ()
    ) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of_command(cls, command: str, environment: Mapping[str, str], log: Path, cores: Collection[int]) -> Self:
        """Run any command; raises CommandError if there is no such program."""
        words = shlex.split(command)
        if not words:
            raise CommandError("--external: the command is empty")
        return cls(words, environment, log, cores)

    def __enter__(self) -> Self:
        self._log.unlink(missing_ok=True)
        try:
            self._process = start(self._command, self._environment, self._log, self._cores)
        except OSError as error:
            raise CommandError(f"{self._command[0]}: {error.strerror}: is it installed, and on the PATH?") from None
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin  # noqa: S101  # it was started with a pipe
        self._process.stdin.close()

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def use(self) -> Use:
        """What it and its descendants use."""
        assert self._process is not None  # noqa: S101  # it is entered
        return use_of(self._process.pid)

    def metrics(self) -> Metrics:
        """What it counts itself; nothing where nobody knows how to ask."""
        return Counter()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None  # noqa: S101  # it is entered
        self._process.send_signal(number)

    def stop(self) -> bool:
        """Ask it to end in order; False if it had to be killed."""
        assert self._process is not None  # noqa: S101  # it is entered
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of what it said."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


class ServiceConsumer(Consumer):
    """``forkstream run``, asked for its own metrics; with ``profile`` it runs under a profiler, which slows it."""

    def __init__(
        self, job: Job, log: Path, cores: Collection[int] = (), *, workers: int = 1, profile: Path | None = None
    ) -> None:
        module = ["forkstream"] if profile is None else ["forkstream.bench.profiled", str(profile)]
        options = [*job.options, *(["--workers", str(workers)] if workers > 1 else [])]
        command = [sys.executable, "-m", "forkstream.demo.leash", *module, "run", str(job.config), *options]
        super().__init__(command, job.environment, log, cores)
        self._admin = AdminClient(f"unix:{job.environment['FORKSTREAM_ADMIN__SOCKET']}")

    def metrics(self) -> Metrics:
        found: Metrics = Counter()
        with suppress(CommandError):
            status, body = self._admin.ask("GET", "/metrics")
            if status == 200:
                for family in text_string_to_metric_families(body.decode()):
                    for sample in family.samples:
                        labels = {
                            name: value for name, value in sample.labels.items() if name not in ("fork", "worker")
                        }
                        label = " ".join(labels.values())
                        if "stall" in sample.name:  # the longest of all forks and workers
                            found[sample.name, label] = max(found[sample.name, label], sample.value)  # type: ignore[assignment]  # typeshed's Counter holds whole numbers
                        else:
                            found[sample.name, label] += sample.value  # type: ignore[assignment]  # as above
        return found


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until ``condition()`` holds; raises CommandError that says ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CommandError(what)
        time.sleep(0.02)
