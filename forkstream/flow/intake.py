"""The intake: what the budget admits is received, taken through the chain, and gathered into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, PermanentError, UnavailableError, as_delivery_error
from forkstream.event import Event
from forkstream.flow.batcher import Batch, Batcher, CloseReason
from forkstream.flow.budget import Budget
from forkstream.flow.chain import Chain, Stopped
from forkstream.flow.custody import Custody, Held, Outcome
from forkstream.flow.gate import Gate, State
from forkstream.flow.ordering import Groups, split_behind
from forkstream.flow.settlement import Settlement
from forkstream.ports import Receipt, Source
from forkstream.settings import Settings
from forkstream.telemetry import Meter


class Intake:
    """The receiving half of a fork. ``on_batch`` takes each closed batch, ``on_stopped`` each event a stage failed."""

    POLLERS = 8
    """Receives under way at once at most; all but one rest unless receives come back full."""

    def __init__(
        self,
        *,
        source: Source[Settings],
        chain: Chain,
        partition: Callable[[Event], str],
        batcher: Batcher,
        budget: Budget,
        custody: Custody,
        settlement: Settlement,
        gate: Gate,
        meter: Meter,
        poll_wait: float,
        on_batch: Callable[[Batch], None],
        on_stopped: Callable[[Stopped], None],
    ) -> None:
        self._source = source
        self._chain = chain
        self._partition = partition
        self._batcher = batcher
        self._budget = budget
        self._custody = custody
        self._settlement = settlement
        self._gate = gate
        self._meter = meter
        self._poll_wait = poll_wait
        self._on_batch = on_batch
        self._on_stopped = on_stopped
        self._groups = Groups() if source.ordered else None
        self._opened = anyio.Event()
        self._brisk = anyio.Event()
        self._asked_at = float("-inf")
        self._late: list[Held] = []
        self.origin = Gate()
        """Whether the source can be received from; the fork's other gate is about its destination."""
        self.polled_at = anyio.current_time()

    @property
    def pollers(self) -> int:
        """How many receives may be under way; an ordered source is asked one at a time."""
        return 1 if self._source.ordered else self.POLLERS

    @property
    def open_batches(self) -> int:
        """How many batches are being gathered."""
        return self._batcher.open

    async def poll(self, number: int) -> None:
        """Receive until the fork drains. Poller 0 always does, the others while receives come back full."""
        backoff = Backoff(first=0.5)
        while await self._gate.receiving():
            if number:
                await self._brisk.wait()
            limit = await self._limit(number)
            if not limit:
                continue
            with await self._budget.reserve(limit) as room:
                if self._gate.draining:
                    break
                answer = await self._receive(room.events, backoff)
                if answer is None:
                    continue
                held = self._custody.take(answer, anyio.current_time())
                room.arrived(len(held), sum(one.charge for one in held))
            await self._take(held, full=len(held) >= room.events)

    def drain(self) -> None:
        """Let every poller see that the fork drains, and close what is open."""
        self.origin.drain()
        self._budget.close()
        self._brisk.set()
        self.close(self._batcher.close_all(CloseReason.DRAIN))

    def relieve(self) -> None:
        """Under pressure (receives are refused and the sink has a free slot) close the fullest batch."""
        self.close(self._batcher.close_fullest(CloseReason.PRESSURE))

    async def close_aged(self) -> None:
        """Close batches as they come of age, for as long as the fork lives."""
        while True:
            due = self._batcher.next_due
            if due is None:
                self._opened = anyio.Event()
                await self._opened.wait()
            else:
                await anyio.sleep(max(0.0, due - anyio.current_time()))
                self.close(self._batcher.close_due(anyio.current_time()))

    def close(self, batches: Sequence[Batch]) -> None:
        """Send closed batches on their way."""
        for batch in batches:
            if self._groups:
                self._groups.closed(batch)
            assert batch.reason is not None  # noqa: S101  # the batcher says why
            self._meter.closed(batch.reason.value, len(batch.held), batch.bytes)
            self._on_batch(batch)

    def finished(self, batch: Batch) -> None:
        """A batch is decided; in an ordered fork its groups may go on."""
        if self._groups:
            freed = self._groups.finished(batch)
            self.again(freed.behind)
            self.again(freed.onward) if self._gate.draining else self._gather(freed.onward)

    def again(self, held: Sequence[Held]) -> None:
        """Let events come again at once, when the fork doesn't want them, or behind an earlier one of their group.

        In a drain, once ``release`` is called: a poll under way would only receive them again, and burn their receives.
        """
        if self._gate.draining:
            self._late += held
        else:
            self._settlement.show_again([one for one in held if one.outcome is None], lambda _: 0)

    def release(self) -> None:
        """No poll is under way any more: show what a drain gives back."""
        self._settlement.show_again([one for one in self._late if one.outcome is None], lambda _: 0)

    async def _limit(self, number: int) -> int:
        """How many events to ask for now; 0 to look again."""
        if self._settlement.denied:
            await anyio.sleep(0.5)
            return 0
        if self._gate.state is State.OPEN:
            return self._source.max_receive
        if number:
            await self._gate.no_trouble()
            return 0
        if self._budget.events:  # what is held is a probe itself
            with anyio.move_on_after(1.0):
                await self._gate.no_trouble()
            return 0
        await self._gate.pause_between_probes()
        return 1

    async def _receive(self, limit: int, backoff: Backoff) -> Sequence[tuple[Event, Receipt]] | None:
        # what is open in an ordered fork holds back the next events of its groups: don't wait for others meanwhile
        wait = 0.0 if self._groups and self._batcher.open else self._poll_wait
        try:
            async with self.origin.turn():
                if self._gate.draining:
                    return None
                answer = await self._source.receive(limit, hold=self._custody.hold, wait=wait)
        except Exception as raised:  # noqa: BLE001  # a source's bug must not end the fork
            error = as_delivery_error(raised)
            self._meter.failed("source", error, 1)
            if isinstance(error, UnavailableError | PermanentError):
                self.origin.halt(error)
            else:
                await anyio.sleep(backoff.wait())
            return None
        self.polled_at = anyio.current_time()
        self.origin.succeeded()
        backoff.reset()
        self._meter.received(len(answer), sum(len(event.body) for event, _ in answer), limit)
        return answer

    async def _take(self, held: list[Held], *, full: bool) -> None:
        self._pace(full=full)
        if not held:
            await self._look_at_quota()
        elif self._gate.draining:
            self.again(held)
        elif self._gate.paused:  # shown when no poll is under way any more, which would only receive it again
            self._settlement.show_again(held, lambda _: self._poll_wait)
        else:
            await self._pass(held)
        if self._groups and not full:
            self.close(self._batcher.close_all(CloseReason.ORDER))
        if self._gate.draining:
            self.close(self._batcher.close_all(CloseReason.DRAIN))

    def _pace(self, *, full: bool) -> None:
        if full:
            self._brisk.set()
        elif self._brisk.is_set() and not self._gate.draining:
            self._brisk = anyio.Event()

    async def _pass(self, held: list[Held]) -> None:
        passage = await self._chain.run(held)
        if self._gate.draining:  # an async stage took its time: nothing more can be written, nor buried
            self.again(held)
            return
        for reason, dropped in passage.dropped.items():
            self._meter.dropped(reason, len(dropped))
            self._settlement.delete(dropped, Outcome.DROPPED)
        for stopped in passage.stopped:
            self._on_stopped(stopped)
        if self._groups and passage.stopped:
            self.again(split_behind(held, [stopped.held for stopped in passage.stopped]))
        self._gather([one for one in passage.through if one.outcome is None])

    def _gather(self, held: Sequence[Held]) -> None:
        now = anyio.current_time()
        for one in held:
            try:
                partition = self._partition(one.event)
            except Exception as error:  # noqa: BLE001  # accuses this event alone
                self._on_stopped(Stopped(one, "sink", as_delivery_error(error), sanitised=True))
                continue
            if self._groups and not self._groups.admits(one, partition):
                waits_behind = self._groups.partition_of(one.event.group)
                if waits_behind is not None:
                    self.close(self._batcher.close(waits_behind, CloseReason.ORDER))
                continue
            self.close(self._batcher.add(one, partition, now))
        self._opened.set()

    async def _look_at_quota(self) -> None:
        """An empty receive while much is held: beyond its quota a queue answers with nothing, without a word."""
        limit, now = self._source.in_flight_limit, anyio.current_time()
        if limit is None or self._budget.events < limit // 100 or now - self._asked_at < 60:
            return
        self._asked_at = now
        try:
            backlog = await self._source.backlog()
        except DeliveryError as error:
            self._meter.failed("source", error, 1)
            return
        if backlog and backlog.in_flight >= 0.9 * limit:
            self.close(self._batcher.close_all(CloseReason.QUOTA))
