"""One fork: its flow from receive to settlement, and its drain.

    pollers ▶ chain ▶ batcher ▶ ready ▶ writers ▶ settlement ▶ source
       └── the budget admits         └── dead letters ──┘

Closing travels the way of the data: a drain closes the batcher, which closes ``ready``, which ends the writers,
which close the dead letters, which close the settlement. Events that are then still undecided are released.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream

from forkstream.backoff import redelivery_delay
from forkstream.errors import DeliveryError, TransientError, UnavailableError, as_delivery_error
from forkstream.flow.batcher import Batch, Batcher, Limits
from forkstream.flow.budget import Budget
from forkstream.flow.chain import Chain, Step, Stopped
from forkstream.flow.custody import Custody, Held, Outcome
from forkstream.flow.dead_letters import DeadLetters
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Accused, Destination, RetryPolicy
from forkstream.flow.gate import Gate, State, Trouble
from forkstream.flow.intake import Intake
from forkstream.flow.settlement import Settlement
from forkstream.flow.writers import EventWriter, ObjectWriter, Render, Writer
from forkstream.ports import EventSink, ObjectSink, ObjectStage, Plugin, Source
from forkstream.settings import Settings
from forkstream.telemetry import Meter

MAX_FIRST_HOLD = 300.0
"""Seconds that a receive hides its events at most, so that a crash hides nothing for longer."""
RELEASE_SECONDS = 2.0
"""How long a fork that has to end at once takes to release what it holds."""
CLOSE_SECONDS = 2.0
"""How long its plugins may take to close."""

MAX_DEAD_RATIO = 0.1
"""The share of dead events within a minute beyond which a fork doubts itself, where the config says nothing."""


class Outlet(msgspec.Struct, frozen=True, kw_only=True):
    """A sink with all that is between events and it. ``render`` and ``suffix`` matter to object sinks alone."""

    sink: EventSink[Settings] | ObjectSink[Settings]
    render: Render
    suffix: str = ""
    stages: Sequence[ObjectStage[Settings]] = ()


class DeadLetterOutlet(Outlet, frozen=True, kw_only=True):
    """Where the dead go. ``include_unsanitised`` lets in what could not be sanitised, if a stage here encrypts."""

    include_unsanitised: bool = False


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """All that a fork is made of. ``max_dead_ratio`` is the share of dead events beyond which it doubts itself."""

    name: str
    source: Source[Settings]
    steps: Sequence[Step] = ()
    outlet: Outlet
    dead_letters: DeadLetterOutlet | None = None
    limits: Limits
    retry: RetryPolicy = RetryPolicy()
    concurrency: int = 4
    max_held_events: int = 20_000
    max_held_bytes: int = 64 * 2**20
    max_dead_ratio: float = MAX_DEAD_RATIO
    paused: bool = False
    poll_wait: float = 20.0

    @property
    def plugins(self) -> list[Plugin[Settings]]:
        """Every plugin, the source last: it is opened when all that follows it is, and closed first."""
        outlets = [self.outlet, self.dead_letters] if self.dead_letters else [self.outlet]
        inner: list[Plugin[Settings]] = [plugin for outlet in outlets for plugin in (outlet.sink, *outlet.stages)]
        return [*inner, *(step.stage for step in self.steps), self.source]


class Fork:
    """Runs one flow until it is drained. Nothing that a plugin does ends it; only a bug of the runtime can."""

    def __init__(self, flow: Flow, meter: Meter) -> None:
        self.flow = flow
        self.meter = meter
        self.gate = Gate(paused=flow.paused, max_dead_ratio=flow.max_dead_ratio)
        self.budget = Budget(flow.max_held_events, flow.max_held_bytes, self._relieve)
        hold = min(max(flow.limits.max_age, 0.0) + flow.retry.write_timeout, MAX_FIRST_HOLD)
        self.custody = Custody(flow.source, math.ceil(hold), self._source_trouble)
        self.settlement = Settlement(flow.source, self.custody, self.budget, self._source_trouble)
        self._ready_send, self._ready = anyio.create_memory_object_stream[Batch](math.inf)
        self._draining = anyio.Event()
        self._scope = anyio.CancelScope()
        self.intake = Intake(
            source=flow.source,
            chain=Chain(flow.steps),
            partition=flow.outlet.sink.partition,
            batcher=Batcher(flow.limits),
            budget=self.budget,
            custody=self.custody,
            settlement=self.settlement,
            gate=self.gate,
            meter=meter,
            poll_wait=flow.poll_wait,
            on_batch=self._ready_send.send_nowait,
            on_stopped=self._stopped,
        )
        self.dead_letters = self._dead_letters(flow.dead_letters) if flow.dead_letters else None
        self.destination = Destination(
            writer=self._writer(flow.outlet),
            gate=self.gate,
            retry=flow.retry,
            landing=self,
            on_failure=self._attempt_failed,
            ordered=flow.source.ordered,
        )
        self.writing = 0
        self.progressed_at = anyio.current_time()
        self.flowing = False
        self.ended = False

    @property
    def trouble(self) -> Trouble | None:
        """Why this fork isn't open: its destination first, then its source."""
        return self.gate.trouble or self.intake.origin.trouble

    def stalled(self, patience: float) -> bool:
        """Tell whether nothing moves although nothing is declared that would explain it: a restart might mend that."""
        if not self.flowing or self.trouble or self.gate.paused or self.gate.draining:
            return False
        waits = self.flow.retry.write_timeout if self.writing else self.flow.poll_wait
        last = max(self.progressed_at, self.intake.polled_at)
        return anyio.current_time() - last > waits + patience

    async def run(self) -> None:
        """Open the plugins, let events flow until ``drain``, close the plugins. Raises only for a bug of the runtime."""
        plugins = AsyncExitStack()
        try:
            with self._scope:
                for plugin in self.flow.plugins:
                    await self._open(plugin, plugins)
                if not self.gate.draining:
                    self.flowing = True
                    await self._flow()
        finally:
            self.flowing, self.ended = False, True
            self._end_queues()
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + RELEASE_SECONDS):
                await self._release()
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
                await plugins.aclose()
            self.meter.failure_log.flush(everything=True)

    def drain(self, deadline: float = math.inf) -> None:
        """Receive nothing more and end what is held, until ``deadline`` (the loop's clock); release what is left then."""
        self._scope.deadline = min(self._scope.deadline, deadline)
        if not self.gate.draining:
            self.gate.drain()
            if self.dead_letters:
                self.dead_letters.gate.drain()
            self._draining.set()

    # Landing: the one place where a written, dead or given up event gets its outcome.

    def written(self, held: Sequence[Held]) -> None:
        self.settlement.delete(held, Outcome.DONE)
        self.meter.written([one.event.sent_at for one in held], time.time())

    def dead(self, accused: Sequence[Accused]) -> None:
        if self.dead_letters:
            self.dead_letters.bury(accused, "sink")
        else:  # the queue's own redrive takes over
            self.again([one.held for one in accused], "dead")

    def again(self, held: Sequence[Held], code: str) -> None:  # noqa: ARG002  # counted where it failed
        self.settlement.show_again(held, lambda one: redelivery_delay(one.event.receive_count))

    # The flow.

    async def _flow(self) -> None:
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(self.custody.run)
            keepers.start_soon(self.intake.close_aged)
            keepers.start_soon(self._probe)
            async with anyio.create_task_group() as settling:
                settling.start_soon(self.settlement.run)
                async with anyio.create_task_group() as receiving:
                    for number in range(self.intake.pollers):
                        receiving.start_soon(self.intake.poll, number)
                    await self._write_until_drained()
                # Here every poll that was under way at the drain has ended.
                self.intake.release()
                self.settlement.close()
            keepers.cancel_scope.cancel()

    async def _write_until_drained(self) -> None:
        async with anyio.create_task_group() as burying:
            if self.dead_letters:
                burying.start_soon(self.dead_letters.run)
            async with anyio.create_task_group() as writers:
                for _ in range(self.flow.concurrency):
                    writers.start_soon(self._write, self._ready.clone())
                await self._draining.wait()
                self.intake.drain()
                self._ready_send.close()
            if self.dead_letters:
                self.dead_letters.close()

    async def _write(self, ready: MemoryObjectReceiveStream[Batch]) -> None:
        async with ready:
            while True:
                self._relieve_later()
                try:
                    batch = await ready.receive()
                except anyio.EndOfStream:
                    return
                started = anyio.current_time()
                self.writing += 1
                try:
                    await deliver(batch, self.destination)
                finally:
                    self.writing -= 1
                self.progressed_at = anyio.current_time()
                self.meter.decided(self.progressed_at - started)
                self.intake.finished(batch)

    def _relieve(self) -> None:
        """The budget refuses a receive: if a writer has nothing to do, give it the fullest open batch."""
        free = self.flow.concurrency - self.writing - self._ready.statistics().current_buffer_used
        if free > 0 and not self.gate.draining:
            self.intake.relieve()

    def _relieve_later(self) -> None:
        if self.budget.refusing:
            self._relieve()

    async def _probe(self) -> None:
        """Ask a halted destination that no held batch asks, until it answers."""
        while True:
            await anyio.sleep(1.0)
            if self.gate.state is not State.HALTED or self.budget.events:
                continue
            async with self.gate.turn():
                try:
                    for plugin in self.flow.plugins:
                        await plugin.check()
                except Exception as error:  # noqa: BLE001  # whatever it is, the destination can't be used yet
                    self.gate.halt(as_delivery_error(error))
                else:
                    self.gate.checked()

    # Troubles.

    def _stopped(self, stopped: Stopped) -> None:
        """An event failed in a stage: it never goes on."""
        error, held = stopped.error, stopped.held
        self.meter.failed(stopped.step, error, 1)
        if isinstance(error, UnavailableError):
            self.gate.halt(error)
        may_be_stored = stopped.sanitised or (self.flow.dead_letters and self.flow.dead_letters.include_unsanitised)
        if (
            isinstance(error, TransientError | UnavailableError)
            or self.dead_letters is None
            or not may_be_stored
            or not self.gate.may_bury(1)
        ):
            self.again([held], error.code)
        else:
            self.dead_letters.bury([Accused(held, error.code, error.detail)], stopped.step)

    def _attempt_failed(self, error: DeliveryError, events: int) -> None:
        self.progressed_at = anyio.current_time()  # backing off is a reason to wait, not a stall
        self.meter.failed("sink", error, events)

    def _source_trouble(self, error: DeliveryError) -> None:
        self.meter.failed("settlement", error, 1)

    async def _open(self, plugin: Plugin[Settings], plugins: AsyncExitStack) -> None:
        """Open a plugin; one whose resource is missing or denied is tried again, and only this fork waits."""
        while not self.gate.draining:
            try:
                await plugins.enter_async_context(plugin)
            except Exception as raised:  # noqa: BLE001  # whatever it is, the other forks go on
                error = as_delivery_error(raised)
                self.meter.failed("open", error, 1)
                self.gate.halt(error)
                await self.gate.pause_between_probes()
            else:
                break
        self.gate.succeeded()

    def _end_queues(self) -> None:
        self._ready_send.close()
        self._ready.close()
        self.settlement.end()
        if self.dead_letters:
            self.dead_letters.end()

    async def _release(self) -> None:
        """Show again at once what has no outcome; otherwise it would stay hidden until its visibility runs out."""
        left = self.custody.undecided()
        if left:
            try:
                await self.custody.show_again([one.receipt for one in left], 0)
            except Exception as error:  # noqa: BLE001  # then it does
                self._source_trouble(as_delivery_error(error))

    # Construction.

    def _writer(self, outlet: Outlet) -> Writer:
        if isinstance(outlet.sink, EventSink):
            return EventWriter(outlet.sink, self.flow.concurrency)
        return ObjectWriter(
            self.flow.name,
            outlet.sink,
            render=outlet.render,
            suffix=outlet.suffix,
            stages=outlet.stages,
            on_rendered=self.meter.rendered,
        )

    def _dead_letters(self, outlet: DeadLetterOutlet) -> DeadLetters:
        return DeadLetters(
            self.flow.name,
            self._writer(outlet),
            lambda held: outlet.sink.partition(held.event),
            self.settlement,
            retry=self.flow.retry,
            again=self.again,
            on_failure=partial(self.meter.failed, "dead_letter"),
        )
