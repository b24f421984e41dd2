"""The service as the demo runs it: ``forkstream run`` in a process of its own, and the commands an operator would give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import msgspec

from forkstream.demo.embedded_aws import free_port
from forkstream.errors import CommandError
from forkstream.status import ForkStatus, ServiceStatus

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class ServiceProcess:
    """Starts, asks, kills and stops one service. Its log goes to ``directory``/forkstream.log."""

    def __init__(self, config: Path, environment: dict[str, str], directory: Path) -> None:
        self.config = config
        self.log = directory / "forkstream.log"
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.environment = os.environ | environment | {"FORKSTREAM_ADMIN__PORT": self.admin.rpartition(":")[2]}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until every fork is there."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "forkstream", "run", str(self.config)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C reaches the demo, which then ends this in order
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.status() is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"the service did not start; its log is {self.log}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def status(self) -> ServiceStatus | None:
        """How it stands now, None while it cannot be asked."""
        with suppress(OSError, msgspec.DecodeError), urllib.request.urlopen(f"{self.admin}/forks", timeout=2) as answer:  # noqa: S310  # our own address
            return msgspec.json.decode(answer.read(), type=ServiceStatus)
        return None

    def fork(self, name: str) -> ForkStatus | None:
        """How one fork stands now."""
        status = self.status()
        return next((fork for fork in status.forks if fork.name == name), None) if status else None

    def command(self, *arguments: str) -> str:
        """Give a command of forkstream as an operator would, with the service's environment; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "forkstream", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        if done.returncode:
            raise CommandError(f"forkstream {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it takes too long."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self.kill()
