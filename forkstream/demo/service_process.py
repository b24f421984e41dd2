"""The service as the demo runs it: ``forkstream run`` in a process of its own, and the commands an operator would give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import msgspec

from forkstream.demo.embedded_aws import free_port
from forkstream.errors import CommandError
from forkstream.status import ForkStatus, ServiceStatus

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_COMMAND_SECONDS = 120.0
_ANSWER_SECONDS = 1.0


class ServiceProcess:
    """Starts, asks, kills and stops one service. Its log goes to ``directory``/forkstream.log.

    ``options`` are those of ``forkstream run``. The service ends with this process, however that ends.
    """

    def __init__(
        self, config: Path, environment: Mapping[str, str], directory: Path, options: tuple[str, ...] = ()
    ) -> None:
        self.config = config
        self.log = directory / "forkstream.log"
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.environment = os.environ | environment | {"FORKSTREAM_ADMIN__PORT": self.admin.rpartition(":")[2]}
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it can be asked."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "forkstream.demo.leash", "forkstream", "run", str(self.config), *self._options],
                env=self.environment,
                stdin=subprocess.PIPE,  # the leash
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C reaches the demo, which then ends this in order
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.status() is None:
            if not self.running or time.monotonic() > deadline:
                raise CommandError(f"the service did not start; its log is {self.log}:\n{self.log_tail()}")
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def status(self) -> ServiceStatus | None:
        """How it stands now, None while it cannot be asked."""
        with (
            suppress(OSError, HTTPException, msgspec.DecodeError),
            urllib.request.urlopen(f"{self.admin}/forks", timeout=_ANSWER_SECONDS) as answer,  # noqa: S310  # our own address
        ):
            return msgspec.json.decode(answer.read(), type=ServiceStatus)
        return None

    def fork(self, name: str) -> ForkStatus | None:
        """How one fork stands now."""
        status = self.status()
        return next((fork for fork in status.forks if fork.name == name), None) if status else None

    def command(self, *arguments: str) -> str:
        """Give a command of forkstream as an operator would, with the service's environment; returns what it prints.

        Raises :class:`CommandError` with what it says if it fails.
        """
        try:
            done = subprocess.run(
                [sys.executable, "-m", "forkstream", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"forkstream {' '.join(arguments)} took over {_COMMAND_SECONDS:.0f} s") from None
        if done.returncode:
            raise CommandError(f"forkstream {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def log_tail(self, lines: int = 10) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        if self._process:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin  # noqa: S101  # it was started with a pipe
            self._process.stdin.close()

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL if it takes too long; returns its exit code, None if it never ran."""
        if self._process is None:
            return None
        try:
            if self.running:
                self._process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
        finally:
            self.kill()
        return self._process.returncode
