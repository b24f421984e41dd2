"""One worker's place: it is taken by one process after another, for as long as the service runs."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec
import structlog

from forkstream.backoff import Backoff
from forkstream.errors import CommandError, TransientError
from forkstream.status import ServiceStatus
from forkstream.supervisor.briefing import Briefing
from forkstream.supervisor.worker_process import WorkerProcess

STEADY_SECONDS = 60.0
"""A process that has run so long is followed by the next one soon; while they keep ending, each waits longer."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between the end of a process and the start of the next one."""
ANSWER_SECONDS = 3.0
"""How long a look at a process takes at most: one whose loop stalls must not hide the others."""
SILENT_SECONDS = 120.0
"""So long may a process not answer before a restart of all is asked for, as for a fork that stalls."""


class _Refusal(msgspec.Struct):
    error: str = ""
    detail: str | None = None


class Seat:
    """Keeps one worker running and asks it. ``brief`` is called at each start with its number."""

    def __init__(self, number: int, brief: Callable[[int], Briefing]) -> None:
        self.number = number
        self.restarts = 0
        self.status: ServiceStatus | None = None
        """What its process told last; None until it has told anything."""
        self.page = ""
        """Its metrics as they were told last."""
        self._brief = brief
        self._worker: WorkerProcess | None = None
        self._heard_at = anyio.current_time()
        self._answered = False
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._log = structlog.get_logger("forkstream").bind(worker=number)

    async def keep(self, stopping: anyio.Event) -> None:
        """Start processes one after another until the service stops, then wait for the last one's end."""
        while not stopping.is_set():
            began = anyio.current_time()
            async with WorkerProcess(self._brief(self.number)) as worker:
                self._worker, self._heard_at, self._answered = worker, began, False
                self._log.info("worker started", pid=worker.pid)
                if stopping.is_set():  # it has been told nothing of it
                    worker.terminate()
                code = await worker.wait()
            self._worker, self.status, self.page = None, None, ""
            if stopping.is_set():
                return
            if anyio.current_time() - began >= STEADY_SECONDS:
                self._backoff.reset()
            seconds = self._backoff.wait()
            self.restarts += 1
            self._log.warning("worker ended", code=code, again_in=f"{seconds:.1f} s")
            with anyio.move_on_after(seconds):
                await stopping.wait()

    @property
    def running(self) -> bool:
        """Whether it has a process now."""
        return self._worker is not None and self._worker.running

    @property
    def state(self) -> str:
        """How it stands: ``starting``, ``up``, ``silent`` while its process does not answer, ``down`` between two processes."""
        if not self.running:
            return "down"
        return "up" if self.status else "silent" if self._answered else "starting"

    @property
    def hangs(self) -> bool:
        """Whether its process has not answered for so long that it must hang."""
        return self.running and anyio.current_time() - self._heard_at > SILENT_SECONDS

    def terminate(self) -> None:
        """Ask its process to drain; asked again, it ends at once."""
        if self._worker:
            self._worker.terminate()

    def kill(self) -> None:
        """End its process."""
        if self._worker:
            self._worker.kill()

    async def look(self) -> None:
        """Bring ``status`` and ``page`` up to date; without an answer there is none."""
        worker = self._worker
        if worker is None:
            return
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                (_, forks), (_, page) = await worker.ask("GET", "/forks"), await worker.ask("GET", "/metrics")
            status = msgspec.json.decode(forks, type=ServiceStatus)
        except (TransientError, TimeoutError, msgspec.DecodeError):
            self.status = None
            return
        if worker is self._worker:
            self.status, self.page = status, page.decode()
            self._heard_at, self._answered = anyio.current_time(), True

    async def tell(self, path: str, body: object = None) -> None:
        """Make its process do as asked; one that starts meanwhile is briefed so. Raises as the process itself would.

        Waits while the process does not answer: whoever calls this sets the limit.
        """
        worker = self._worker
        while worker is not None and worker.running:
            try:
                status, answer = await worker.ask("POST", path, body)
            except TransientError:
                await anyio.sleep(0.1)
                continue
            if status != 200:
                raise _error(status, answer)
            return


def _error(status: int, answer: bytes) -> CommandError | TransientError:
    try:
        refusal = msgspec.json.decode(answer, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refusal = _Refusal()
    if status == 409:
        return CommandError(refusal.error)
    return TransientError(refusal.error or f"http_{status}", refusal.detail or "")
