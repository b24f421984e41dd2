"""One worker as its supervisor sees it: a process, the pipe that holds it, and the socket where it can be asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import anyio.abc
import msgspec

from forkstream.errors import TransientError
from forkstream.supervisor.briefing import Briefing


class WorkerProcess:
    """Started by entering, killed by leaving. In a session of its own, so that Ctrl-C reaches the supervisor alone."""

    def __init__(self, briefing: Briefing) -> None:
        self._briefing = briefing
        self._process: anyio.abc.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._process = await anyio.open_process(
            [sys.executable, "-m", "forkstream.supervisor.worker", str(os.getpid())],
            stdin=subprocess.PIPE, stdout=None, stderr=None, start_new_session=True,
        )  # fmt: skip
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._briefing.socket))
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):  # it has ended: wait() tells
            assert self._process.stdin  # noqa: S101  # a pipe was asked for
            await self._process.stdin.send(msgspec.json.encode(self._briefing) + b"\n")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._process:
                self.kill()
                await self._process.wait()
                await self._process.aclose()
            if self._session:
                await self._session.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process  # noqa: S101  # entered
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; the exit code, or minus the number of the signal that ended it."""
        assert self._process  # noqa: S101  # entered
        return await self._process.wait()

    def terminate(self) -> None:
        """Ask it to drain; asked again, it ends at once."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, as a crash does."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Ask its admin endpoint: the answer's status and body. Raises TransientError if there is nobody to answer."""
        assert self._session  # noqa: S101  # entered
        url = f"http://localhost{path}"
        try:
            async with self._session.request(method, url, json={} if body is None else body) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError("worker_silent", type(error).__name__) from None
