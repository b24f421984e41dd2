"""The service: all forks of a config in one process, with its signals, its drain and its status."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version

import anyio
import structlog
from anyio.abc import TaskGroup
from prometheus_client import CollectorRegistry

from forkstream.backoff import spread
from forkstream.control import Control, DesiredState
from forkstream.errors import CommandError, DeliveryError
from forkstream.flow.ask import ask
from forkstream.flow.custody import Outcome
from forkstream.flow.flow import Flow
from forkstream.flow.fork import CLOSE_SECONDS, RELEASE_SECONDS, Fork
from forkstream.flow.gate import State
from forkstream.loop_stall import LoopStall
from forkstream.metrics import Metrics
from forkstream.ports import Source, Switches
from forkstream.settings import Settings
from forkstream.status import ForkStatus, ServiceStatus
from forkstream.telemetry import Meter

STOP_TIMEOUT = 30.0
"""Seconds between SIGTERM and SIGKILL where nobody says otherwise (ECS: ``stopTimeout``, 30 s by default)."""
STOP_MARGIN = RELEASE_SECONDS + CLOSE_SECONDS + 1.0
"""Seconds at the end of the drain that are kept for releasing and closing."""
MAX_POLL_WAIT = 20.0
"""Seconds that a long poll waits at most (SQS: 20, see ReceiveMessage)."""
CONTROL_SECONDS = 5.0
"""How long a start waits to read the desired state; what is paused only there must not receive before."""
LAG_SECONDS = 5.0
"""How long a source may take to estimate what waits."""
STALL_SECONDS = 120.0
"""So long may a fork neither progress nor be within a declared wait before a restart is asked for."""

Serve = Callable[["Service"], AbstractAsyncContextManager[object]]


def drain_budget(stop_timeout: float) -> float:
    """Seconds that a drain may take, of those that there are between SIGTERM and SIGKILL."""
    return max(0.5, stop_timeout - STOP_MARGIN)


def poll_wait(stop_timeout: float) -> float:
    """Seconds that a long poll waits: it is never hung up on, so a drain must be able to outlast it."""
    return min(MAX_POLL_WAIT, drain_budget(stop_timeout) / 2)


class Service:
    """Runs forks side by side; one that fails leaves the others alone. Built inside a running event loop.

    ``shown`` takes out of an error's detail what must not be shown: the config's secrets.
    """

    def __init__(
        self,
        flows: Sequence[Flow],
        *,
        run: str = "run",
        stop_timeout: float = STOP_TIMEOUT,
        control: Control | None = None,
        switches: Switches | None = None,
        shown: Callable[[str], str] = str,
    ) -> None:
        self.metrics = Metrics()
        self.forks = {flow.name: Fork(flow, Meter(self.metrics, flow.name)) for flow in flows}
        self._run = run
        self._stop_timeout = stop_timeout
        self._control = control
        self._switches = switches or Switches()
        self._shown = shown
        self._failed: dict[str, str] = {}
        self._lag: dict[str, int] = {}
        self._stall = LoopStall()
        self._stopping = anyio.Event()
        self._scope = anyio.CancelScope()
        self._log = structlog.get_logger("forkstream")

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics, for whoever serves them."""
        return self.metrics.registry

    async def run(self, *serving: Serve, on_started: Callable[[], None] = lambda: None) -> None:
        """Run until every fork has ended: after ``stop`` or a signal. Whatever ``serving`` opens is open meanwhile."""
        async with AsyncExitStack() as stack:
            for serve in serving:
                await stack.enter_async_context(serve(self))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._obey_signals)
                tasks.start_soon(self._observe)
                tasks.start_soon(self._stall.run)
                await self._follow_control(tasks)
                on_started()
                self._log.info("started", run=self._run, forks=sorted(self.forks))
                with self._scope:
                    async with anyio.create_task_group() as forks:
                        for fork in self.forks.values():
                            forks.start_soon(self._run_fork, fork)
                tasks.cancel_scope.cancel()
        self._log.info("stopped", forks={name: self._totals(fork) for name, fork in self.forks.items()})

    def stop(self) -> None:
        """Drain all forks within the budget; called again, end at once. Neither loses an event."""
        if self._stopping.is_set():
            self._log.warning("stopping at once", held=sum(fork.budget.events for fork in self.forks.values()))
            self._scope.cancel()
            return
        self._stopping.set()
        deadline = anyio.current_time() + drain_budget(self._stop_timeout)
        held = sum(fork.budget.events for fork in self.forks.values())
        self._log.info(
            "draining", held=held, within=f"{drain_budget(self._stop_timeout):g} s", hint="again ends at once"
        )
        for fork in self.forks.values():
            fork.drain(deadline)

    async def pause(self, fork: str, paused: bool) -> str:
        """Pause or resume one fork, everywhere if there is a control document; returns how far the wish reaches."""
        if fork not in self.forks:
            raise CommandError(f"no fork {fork!r}; there are {', '.join(sorted(self.forks))}")
        if self._control:
            await self._control.change(lambda desired: desired.with_paused(fork, paused))
        self.forks[fork].gate.pause(paused)
        return self._reach()

    async def switch(self, name: str, on: bool) -> str:
        """Turn a switch that plugins read."""
        if self._control:
            await self._control.change(lambda desired: desired.with_switch(name, on))
        self._switches.states[name] = on
        return self._reach()

    def status(self) -> ServiceStatus:
        """Tell how every fork stands now."""
        forks = [self._fork_status(fork) for fork in self.forks.values()]
        return ServiceStatus(
            run=self._run,
            version=version("forkstream"),
            healthy=not any(fork.stalled or fork.state == "failed" for fork in forks),
            ready=not self._stopping.is_set() and all(fork.state in {"open", "paused"} for fork in forks),
            draining=self._stopping.is_set(),
            forks=forks,
            switches=dict(self._switches.states),
        )

    # The forks.

    async def _run_fork(self, fork: Fork) -> None:
        try:
            await fork.run()
        except Exception as error:  # noqa: BLE001  # only a bug of the runtime: the others go on, /health asks for a restart
            self._failed[fork.flow.name] = _name_of(error)
            self._log.exception("fork failed", fork=fork.flow.name)
            await self._stopping.wait()

    async def _follow_control(self, tasks: TaskGroup) -> None:
        """Obey the desired state before the first receive, if it can be read soon, and from then on."""
        if self._control is None:
            return
        with anyio.move_on_after(CONTROL_SECONDS), suppress(DeliveryError):
            self._obey(await self._control.read())
        tasks.start_soon(self._control.follow, self._obey)

    def _obey(self, desired: DesiredState) -> None:
        for name, fork in self.forks.items():
            paused = desired.paused.get(name, fork.flow.paused)
            if paused != fork.gate.paused:
                fork.gate.pause(paused)
                self._log.info("paused" if paused else "resumed", fork=name)
        self._switches.states.clear()
        self._switches.states.update(desired.switches)

    async def _obey_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self.stop()

    # What others see.

    async def _observe(self) -> None:
        next_lag = 0.0
        told: dict[str, str] = {}
        while True:
            for fork in self.forks.values():
                fork.meter.failure_log.flush()  # before it is told that they are over
                self._tell_state(fork, told)
                totals = {outcome.value: fork.settlement.settled[outcome] for outcome in Outcome}
                fork.meter.settled(totals, fork.settlement.expired, fork.custody.extended)
                fork.meter.damaged(fork.flow.source.damaged)
                is_open = fork.gate.state is State.OPEN and not fork.gate.paused
                used = max(fork.budget.events / fork.flow.max_held_events, fork.budget.bytes / fork.flow.max_held_bytes)
                fork.meter.holding(fork.budget.events, fork.budget.bytes, used=used, is_open=is_open)
                fork.meter.pace(fork.intake.pollers, fork.concurrency.limit, fork.writing)
            self.metrics.loop_stall_seconds.set(self._stall.longest)
            if anyio.current_time() >= next_lag and any(fork.flowing for fork in self.forks.values()):
                next_lag = anyio.current_time() + spread(60.0)
                await self._ask_lag()
            await anyio.sleep(1.0)

    def _tell_state(self, fork: Fork, told: dict[str, str]) -> None:
        """Log that a fork halts or probes, with what has to be mended, and that it is open again."""
        state, code, detail = self._state(fork)
        if state not in {each.value for each in State}:
            return  # a fork that is drained or paused is not mended by that
        now = State.OPEN.value if state == State.OPEN.value else f"{state} {code}"
        if now == told.get(fork.flow.name, State.OPEN.value):
            return
        told[fork.flow.name] = now
        if now == State.OPEN.value:
            self._log.info("open again", fork=fork.flow.name)
        else:
            self._log.warning(state, fork=fork.flow.name, code=code, detail=detail)

    async def _ask_lag(self) -> None:
        for name, fork in self.forks.items():
            if not fork.flowing:
                continue
            with suppress(DeliveryError):  # an estimate; the fork's own receives tell of trouble
                ready = await ask(partial(_ready, fork.flow.source), LAG_SECONDS)
                if ready is not None:
                    self._lag[name] = ready
                    fork.meter.waiting(ready)

    def _fork_status(self, fork: Fork) -> ForkStatus:
        settled, name = fork.settlement.settled, fork.flow.name
        state, code, detail = self._state(fork)
        return ForkStatus(
            name=name,
            state=state,
            paused=fork.gate.paused,
            code=code,
            detail=detail,
            dead_letters=fork.dead_letters.gate.trouble.code
            if fork.dead_letters and fork.dead_letters.gate.trouble
            else None,
            received=fork.meter.received_total,
            written=settled[Outcome.DONE],
            retried=settled[Outcome.RETRY],
            dead=settled[Outcome.DEAD],
            dropped=settled[Outcome.DROPPED],
            expired=fork.settlement.expired,
            failed=fork.meter.failed_total,
            in_flight=fork.budget.events,
            in_flight_bytes=fork.budget.bytes,
            budget_events=fork.flow.max_held_events,
            budget_bytes=int(fork.flow.max_held_bytes),  # a Size is no JSON
            pollers=fork.intake.pollers,
            concurrency=fork.concurrency.limit,
            concurrency_reason=fork.concurrency.reason,
            open_batches=fork.intake.open_batches,
            writing=fork.writing,
            event_age=fork.meter.event_age,
            lag=self._lag.get(name),
            last_failure=fork.meter.last_failure,
            stalled=fork.stalled(STALL_SECONDS),
        )

    def _state(self, fork: Fork) -> tuple[str, str | None, str | None]:
        if fork.flow.name in self._failed:
            return "failed", self._failed[fork.flow.name], None
        if fork.ended:
            return "ended", None, None
        if fork.gate.draining:
            return "draining", None, None
        trouble = fork.trouble
        if trouble:
            return trouble.state.value, trouble.code, trouble.detail and self._shown(trouble.detail)
        return ("paused", None, None) if fork.gate.paused else ("open", None, None)

    def _totals(self, fork: Fork) -> dict[str, int]:
        return {outcome.value: fork.settlement.settled[outcome] for outcome in Outcome} | {
            "expired": fork.settlement.expired
        }

    def _reach(self) -> str:
        if self._control:
            return f"written to {self._control.url}: every task follows it, and it survives a restart"
        return "this process only, until it ends: set `control` to reach every task"


async def _ready(source: Source[Settings]) -> int | None:
    backlog = await source.backlog()
    return None if backlog is None else int(backlog.ready)


def _name_of(error: Exception) -> str:
    """Name the error within groups of errors, which task groups raise."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
