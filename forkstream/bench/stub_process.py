"""The stub in a process of its own, seen from who measures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from forkstream.bench.certificate import write_certificate
from forkstream.bench.machine import Cores, start
from forkstream.bench.stub.server import LOOK, REGION, START, Settings
from forkstream.bench.stub.tally import Look
from forkstream.bench.stub.weather import Climate
from forkstream.demo.embedded_aws import free_port
from forkstream.demo.environment import secluded
from forkstream.errors import CommandError

_START_SECONDS = 60.0


class StubProcess:
    """Starts the stub for a block and ends it. ``url`` is where every service is; ``environment`` leads consumers there."""

    def __init__(
        self,
        directory: Path,
        bodies: Path,
        cores: Cores,
        *,
        rate: float | None = None,
        deal: int | None = None,
        climate: Climate | None = None,
        tls: bool = False,
    ) -> None:
        port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._cores = cores
        self._log = directory / "stub.log"
        self._certificate = write_certificate(directory) if tls else None
        self._settings = Settings(
            port=port,
            bodies=str(bodies),
            rate=rate,
            deal=deal,
            climate=climate or Climate(),
            certificate=str(self._certificate) if self._certificate else None,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "forkstream.demo.leash", "forkstream.bench.stub"]
        settings = msgspec.json.encode(self._settings).decode()
        self._process = start([*command, settings], os.environ, self._log, self._cores.stub)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError, HTTPException):
                self.look()
                return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise CommandError(f"the stub did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # it keeps nothing
            self._process.wait()
            assert self._process.stdin  # noqa: S101  # it was started with a pipe
            self._process.stdin.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a consumer reach the stub and nothing else; of this process's own, what does not lead to AWS."""
        own = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAFORKSTREAMBENCH0",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self._certificate:
            own |= dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self._certificate))
        return secluded(os.environ) | own

    def restart(self) -> Look:
        """Begin anew with empty counts; an open loop's schedule begins with a queue's first receive."""
        return self._ask(START)

    def look(self) -> Look:
        """See how it stands, with the latencies since the last look."""
        return self._ask(LOOK)

    def _ask(self, path: str) -> Look:
        context = None
        if self._certificate:
            import ssl  # noqa: PLC0415  # seldom wanted

            context = ssl.create_default_context(cafile=str(self._certificate))
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10, context=context) as answer:  # noqa: S310  # our own address
            return msgspec.json.decode(answer.read(), type=Look)
