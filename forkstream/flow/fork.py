"""One fork: its flow from receive to settlement, and its drain.

    pollers ▶ chain ▶ batcher ▶ ready ▶ writers ▶ settlement ▶ source
       └── the budget admits         └── dead letters ──┘

Closing travels the way of the data: a drain closes the batcher, which closes ``ready``, which ends the writers,
which close the dead letters, which close the settlement. Events that are then still undecided are released.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup

from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.flow.aside import Aside
from forkstream.flow.batch_sizes import BatchSizes
from forkstream.flow.batcher import Batch, Batcher
from forkstream.flow.budget import Budget
from forkstream.flow.chain import Chain
from forkstream.flow.concurrency import Concurrency
from forkstream.flow.custody import Custody
from forkstream.flow.dead_letters import DeadLetters
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Destination
from forkstream.flow.flow import Flow
from forkstream.flow.gate import Gate, Trouble
from forkstream.flow.intake import Intake
from forkstream.flow.landing import SINK, ForkLanding
from forkstream.flow.lifetimes import Lifetimes
from forkstream.flow.loop_time import loop_time
from forkstream.flow.outlet import DeadLetterOutlet
from forkstream.flow.passing import Passing
from forkstream.flow.probe import Probe
from forkstream.flow.settlement import Settlement
from forkstream.flow.slots import Slots
from forkstream.ports import Plugin
from forkstream.settings import Settings
from forkstream.telemetry import Meter

MIN_FIRST_HOLD, MAX_FIRST_HOLD = 10.0, 300.0
"""Seconds that a receive hides its events: so long that it can be extended in time, so short that a crash hides little."""
RELEASE_SECONDS = 2.0
"""How long a fork that has to end at once takes to release what it holds."""
CLOSE_SECONDS = 2.0
"""How long its plugins may take to close, all together."""


class LostTaskError(RuntimeError):
    """A plugin cancelled a task of its fork, which took others with it: nothing less than a restart mends that."""


class Fork:
    """Runs one flow until it is drained. Nothing that a plugin does ends it; only a bug of the runtime can."""

    def __init__(self, flow: Flow, meter: Meter) -> None:
        self.flow = flow
        self.meter = meter
        self.gate = Gate(paused=flow.paused, max_dead_ratio=flow.max_dead_ratio)
        self.aside = Aside(self.gate)
        self.budget = Budget(flow.max_held_events, flow.max_held_bytes, self._relieve, flow.lender)
        settlement_failed = partial(self._failed, "settlement", events=1)
        hold = min(max(flow.limits.max_age + flow.retry.write_timeout, MIN_FIRST_HOLD), MAX_FIRST_HOLD)
        self.custody = Custody(flow.source, math.ceil(hold), settlement_failed)
        self.settlement = Settlement(self.custody, self.budget, settlement_failed)
        self._ready_send, self._ready = anyio.create_memory_object_stream[Batch](math.inf)
        self.concurrency = Concurrency(flow.concurrency, self._more_slots)
        self._slots = Slots(lambda: self.concurrency.limit, self._relieve)
        self._draining = anyio.Event()
        self._scope = anyio.CancelScope()
        self.dead_letters = self._dead_letters(flow.dead_letters) if flow.dead_letters else None
        include = flow.dead_letters is not None and flow.dead_letters.include_unsanitised
        landing = ForkLanding(self.settlement, self.gate, meter, self.dead_letters, include_unsanitised=include)
        self.sizes = BatchSizes(
            flow.limits, flow.tuning, max_held_events=flow.max_held_events, max_held_bytes=flow.max_held_bytes
        )
        self._batcher = Batcher(flow.limits)
        self.intake = self._intake(landing)
        self.destination = Destination(
            writer=flow.outlet.writer(flow.name, self.concurrency.most, self._rendered),
            gate=self.gate,
            aside=self.aside,
            retry=flow.retry,
            landing=landing,
            on_failure=partial(self._failed, SINK),
            on_timed=meter.attempted,
            on_retry=partial(meter.retried, SINK),
            ordered=flow.source.ordered,
            rest=self._slots.rest,
            on_attempt=self._attempted,
        )
        # not the source's check, nor that of the dead letters: they have gates of their own
        inner = [flow.outlet.sink, *flow.outlet.stages, *(step.stage for step in flow.steps)]
        self._probe = Probe(self.gate, self.intake, inner, flow.retry.write_timeout)
        self.progressed_at = loop_time()
        self.flowing = False
        self.ended = False

    @property
    def writing(self) -> int:
        """How many writes are under way."""
        return self._slots.taken

    @property
    def trouble(self) -> Trouble | None:
        """Why this fork isn't open: its destination first, then its source."""
        return self.gate.trouble or self.intake.origin.trouble or self.custody.trouble

    def stalled(self, patience: float) -> bool:
        """Tell whether nothing moves although nothing is declared that would explain it: a restart might mend that."""
        if not self.flowing or self.trouble or self.gate.paused or self.gate.draining:
            return False
        if self.dead_letters and self.dead_letters.gate.trouble:
            return False  # the dead wait, and may have taken all of the budget
        # what is held may be in a stage that asks elsewhere, which takes as long as a write may
        waits = self.flow.retry.write_timeout if self.budget.events else self.flow.poll_wait
        last = max(self.progressed_at, self.intake.polled_at)
        return loop_time() - last > waits + patience

    async def run(self) -> None:
        """Open the plugins, let events flow until ``drain``, close the plugins. Raises only for a bug of the runtime."""
        async with anyio.create_task_group() as tasks:
            plugins = Lifetimes(tasks, partial(self._failed, "close", events=1))
            try:
                with self._scope:
                    for plugin in self.flow.plugins:
                        await self._open(plugin, plugins)
                    if not self.gate.draining:
                        self.flowing = True
                        await self._until_drained(self._flow)
            finally:
                self.flowing, self.ended = False, True
                self._end_queues()
                try:
                    with anyio.CancelScope(shield=True, deadline=loop_time() + RELEASE_SECONDS):
                        # in a task of its own: a source that cancels it would end the other forks of this one's service
                        async with anyio.create_task_group() as releasing:
                            releasing.start_soon(self.custody.release)
                finally:
                    plugins.close(CLOSE_SECONDS)
        self.meter.failure_log.flush(everything=True)

    def drain(self, deadline: float = math.inf) -> None:
        """Receive nothing more and end what is held, until ``deadline`` (the loop's clock); release what is left then."""
        self._scope.deadline = min(self._scope.deadline, deadline)
        if not self.gate.draining:
            self.gate.drain()
            if self.dead_letters:
                self.dead_letters.gate.drain()
            self._draining.set()

    # The flow.

    async def _flow(self) -> None:
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(self.custody.run)
            keepers.start_soon(self.intake.close_aged)
            keepers.start_soon(self._probe.run)
            async with anyio.create_task_group() as settling:
                settling.start_soon(self._until_drained, self.settlement.run)
                async with anyio.create_task_group() as receiving:
                    receiving.start_soon(self._until_drained, self.intake.run)
                    await self._until_drained(self._write)
                # Here every poll that was under way at the drain has ended.
                self.settlement.release_rest()
                self.settlement.close()
            keepers.cancel_scope.cancel()

    async def _until_drained(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the flow: ended before a drain, it has lost a task, and would be missed by nobody."""
        await run()
        if not self._draining.is_set():
            raise LostTaskError("a plugin has cancelled a task that is not its own")

    async def _write(self) -> None:
        async with anyio.create_task_group() as burying:
            if self.dead_letters:
                burying.start_soon(self.dead_letters.run)
            async with anyio.create_task_group() as deliveries:
                deliveries.start_soon(self._deliver_all, deliveries)
                await self._draining.wait()
                self.intake.drain()
                self._ready_send.close()
            if self.dead_letters:
                self.dead_letters.close()

    async def _deliver_all(self, deliveries: TaskGroup) -> None:
        """Deliver each batch in a task of its own, as slots are free, until a drain."""
        async for batch in self._ready:
            await self._slots.take()
            deliveries.start_soon(self._deliver, batch)

    async def _deliver(self, batch: Batch) -> None:
        started = loop_time()
        await deliver(batch, self.destination)
        self._progressed()
        self.meter.decided(loop_time() - started)
        self.intake.finished(batch)
        self._slots.give_back()

    def _attempted(self, events: int, began: float, error: DeliveryError | None) -> None:
        busy = self._ready.statistics().current_buffer_used > 0
        now = loop_time()
        self.concurrency.attempted(events, began, now, error, busy=busy)
        self.sizes.attempted(events, now - began, error)
        self._batcher.limits = self.sizes.limits

    def _rendered(self, bodies: int, stored: int) -> None:
        self.meter.rendered(bodies, stored)
        self.sizes.rendered(bodies, stored)
        self._batcher.limits = self.sizes.limits

    def _more_slots(self) -> None:
        self.meter.concurrency_changed(self.concurrency.reason)
        self._slots.changed()

    def _relieve(self) -> None:
        """A receive is refused, or a slot is free: if both, give that the fullest open batch."""
        idle = self._slots.free > self._ready.statistics().current_buffer_used
        if idle and self.budget.refusing and not self.gate.draining:
            self.intake.relieve()

    def _progressed(self, rest: float = 0.0) -> None:
        """Something moved, or failed, which is a reason to wait and no stall; nothing may move for ``rest`` seconds."""
        self.progressed_at = max(self.progressed_at, loop_time() + rest)

    def _failed(self, step: str, error: DeliveryError, events: int) -> None:
        wished = error.retry_after if isinstance(error, TransientError) else None
        self._progressed(min(wished or 0.0, self.flow.retry.max_elapsed))  # beyond that nobody waits for it
        self.meter.failed(step, error, events)

    # Opening and closing.

    async def _open(self, plugin: Plugin[Settings], plugins: Lifetimes) -> None:
        """Open a plugin; one whose resource is missing or denied is tried again, and only this fork waits."""
        while not self.gate.draining:
            try:
                await plugins.open(plugin)
            except DeliveryError as error:
                self._failed("open", error, 1)
                # no event was there yet that the detail of another kind could quote
                self.gate.halt(UnavailableError(error.code, error.detail))
                await self.gate.pause_between_probes()
            else:
                break
        if self.gate.troubled:
            self.gate.succeeded()

    def _end_queues(self) -> None:
        self._ready_send.close()
        self._ready.close()
        self.settlement.end()
        if self.dead_letters:
            self.dead_letters.end()

    # Construction.

    def _intake(self, landing: ForkLanding) -> Intake:
        flow = self.flow
        passing = Passing(
            Chain(flow.steps, flow.retry.write_timeout),
            flow.outlet.sink.partition,
            gate=self.gate,
            aside=self.aside,
            retry=flow.retry,
            landing=landing,
            ordered=flow.source.ordered,
            on_through=lambda held: self.intake.gather(held),  # noqa: PLW0108  # the intake is made of this
            on_failure=self._failed,
            on_retry=self.meter.retried,
        )
        return Intake(
            source=flow.source,
            passing=passing,
            batcher=self._batcher,
            budget=self.budget,
            custody=self.custody,
            landing=landing,
            gate=self.gate,
            aside=self.aside,
            meter=self.meter,
            poll_wait=flow.poll_wait,
            on_batch=self._ready_send.send_nowait,
        )

    def _dead_letters(self, outlet: DeadLetterOutlet) -> DeadLetters:
        return DeadLetters(
            self.flow.name,
            outlet.writer(self.flow.name, self.concurrency.most, self.meter.rendered),
            lambda held: outlet.sink.partition(held.event),
            self.settlement,
            retry=self.flow.retry,
            on_failure=partial(self._failed, "dead_letter"),
            on_retry=partial(self.meter.retried, "dead_letter"),
        )
