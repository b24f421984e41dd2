"""The supervisor: worker processes that look like one service from outside."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
import structlog
from prometheus_client import CollectorRegistry

from forkstream.admin import Admin
from forkstream.config.model import ConfigFile
from forkstream.control import DesiredState
from forkstream.errors import TransientError
from forkstream.status import ForkStatus, ServiceStatus
from forkstream.supervisor.briefing import Briefing
from forkstream.supervisor.combined import combined
from forkstream.supervisor.seat import Seat
from forkstream.supervisor.worker_metrics import WorkerMetrics

COMMAND_SECONDS = 20.0
"""How long all workers may take to do as they are asked."""
KILL_MARGIN = 0.5
"""Seconds before the end of the stop timeout at which workers that still run are killed."""


class Supervisor:
    """Runs a config in several processes, starts those again that end, and speaks for all of them.

    It holds no event: each worker settles what it has received, and what a killed one held comes again. Its own end,
    however it comes, is the end of every worker. Built inside a running event loop.
    """

    def __init__(self, file: ConfigFile, briefing: Briefing, *, stop_timeout: float) -> None:
        self._file = file
        self._briefing = briefing
        self._stop_timeout = stop_timeout
        self._directory = Path()
        self._seats = [Seat(number, self._brief) for number in range(1, briefing.workers + 1)]
        self._asked = DesiredState()
        self._stopping = anyio.Event()
        self._metrics = WorkerMetrics()
        self._log = structlog.get_logger("forkstream")

    async def run(self, *, admin: bool = True) -> None:
        """Run until every worker has drained, after ``stop`` or a signal."""
        with TemporaryDirectory(prefix="forkstream-") as directory:  # of this user alone
            self._directory = Path(directory)
            async with AsyncExitStack() as stack:
                if admin:
                    endpoint = await stack.enter_async_context(Admin(self._file.admin, self, before=self.look))
                    self._log.info("serving", url=endpoint.url)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._obey_signals)
                    tasks.start_soon(self._kill_late)
                    async with anyio.create_task_group() as kept:
                        for seat in self._seats:
                            kept.start_soon(seat.keep, self._stopping)
                    tasks.cancel_scope.cancel()
        self._log.info("stopped", workers=len(self._seats))

    def stop(self) -> None:
        """Drain all workers; called again, end them at once. Neither loses an event."""
        self._stopping.set()
        for seat in self._seats:
            seat.terminate()

    # What the endpoint shows and asks.

    async def look(self) -> None:
        """Ask all workers how they stand; ``status`` and ``registry`` tell it then."""
        async with anyio.create_task_group() as tasks:
            for seat in self._seats:
                tasks.start_soon(seat.look)
        pages = {seat.number: seat.page for seat in self._seats if seat.page}
        self._metrics.tell(pages, {seat.number: seat.restarts for seat in self._seats})

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of all workers."""
        return self._metrics.registry

    def status(self) -> ServiceStatus:
        """Tell how all workers stood when they were last asked, as one service."""
        told = [seat.status for seat in self._seats if seat.status]
        forks = [self._fork(name, told) for name in self._file.forks]
        draining = self._stopping.is_set()
        return ServiceStatus(
            run=self._briefing.run,
            version=version("forkstream"),
            healthy=all(status.healthy for status in told) and not any(seat.hangs for seat in self._seats),
            ready=not draining and len(told) == len(self._seats) and all(status.ready for status in told),
            draining=draining,
            forks=forks,
            switches={name: on for status in told for name, on in status.switches.items()},
            workers={str(seat.number): seat.state for seat in self._seats},
        )

    async def pause(self, fork: str, paused: bool) -> str:
        """Pause or resume one fork in every worker; done when all of them have done it."""
        self._asked = self._asked.with_paused(fork, paused)
        return await self._tell(f"/forks/{fork}/{'pause' if paused else 'resume'}")

    async def switch(self, name: str, on: bool) -> str:
        """Turn a switch in every worker; done when all of them have done it."""
        self._asked = self._asked.with_switch(name, on)
        return await self._tell(f"/switches/{name}", {"on": on})

    async def _tell(self, path: str, body: object = None) -> str:
        control = self._file.control
        try:
            with anyio.fail_after(COMMAND_SECONDS):
                for seat in self._seats:  # one by one, since all of them write the desired state if there is one
                    await seat.tell(path, body)
        except TimeoutError:
            raise TransientError("worker_silent") from None
        if control:
            return f"written to {control}: every task follows it, and it survives a restart"
        return f"all {len(self._seats)} workers, until they are stopped: set `control` to reach every task"

    # The workers.

    def _brief(self, worker: int) -> Briefing:
        # with a desired state, that is what a new worker follows
        asked = DesiredState() if self._file.control else self._asked
        return msgspec.structs.replace(
            self._briefing,
            worker=worker,
            socket=str(self._directory / f"{worker}.sock"),
            paused=asked.paused,
            switches=asked.switches,
        )

    def _fork(self, name: str, told: list[ServiceStatus]) -> ForkStatus:
        forks = [fork for status in told for fork in status.forks if fork.name == name]
        return combined(name, forks) if forks else ForkStatus(name=name, state="starting")

    async def _obey_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                again = "" if self._stopping.is_set() else "again ends at once"
                self._log.info("stopping all workers", hint=again)
                self.stop()

    async def _kill_late(self) -> None:
        await self._stopping.wait()
        await anyio.sleep(max(0.0, self._stop_timeout - KILL_MARGIN))
        for seat in self._seats:
            if seat.running:
                self._log.warning("killing a worker that did not end", worker=seat.number)
                seat.kill()
