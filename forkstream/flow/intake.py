"""The intake: what the budget admits is received, taken through the chain, and gathered into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import anyio
from anyio.abc import TaskGroup

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.flow.aside import Aside
from forkstream.flow.ask import TimeLimit, ask
from forkstream.flow.batcher import Batch, Batcher, CloseReason
from forkstream.flow.budget import Budget
from forkstream.flow.custody import Custody, Held, Receive
from forkstream.flow.gate import Gate
from forkstream.flow.landing import ForkLanding
from forkstream.flow.loop_time import loop_clock
from forkstream.flow.ordering import Groups
from forkstream.flow.passing import Passing
from forkstream.flow.pollers import Pollers
from forkstream.ports import Source
from forkstream.settings import Settings
from forkstream.telemetry import Meter


class Intake:
    """The receiving half of a fork. ``on_batch`` takes each closed batch."""

    MOST_POLLERS = 200
    """Receives under way at once at most: 2,000 events of ten each, or 100,000 events a second at 20 ms."""
    ANSWER_SECONDS = 60.0
    """How long the source may take to answer, beyond the wait that it was asked for."""

    def __init__(
        self,
        *,
        source: Source[Settings],
        passing: Passing,
        batcher: Batcher,
        budget: Budget,
        custody: Custody,
        landing: ForkLanding,
        gate: Gate,
        aside: Aside,
        meter: Meter,
        poll_wait: float,
        on_batch: Callable[[Batch], None],
    ) -> None:
        self._source = source
        self._passing = passing
        self._batcher = batcher
        self._budget = budget
        self._custody = custody
        self._landing = landing
        self._gate = gate
        self._aside = aside
        self._meter = meter
        self._poll_wait = poll_wait
        self._on_batch = on_batch
        self._groups = Groups() if source.ordered else None
        self._opened = anyio.Event()
        self._found = Pollers(1 if source.ordered else self.MOST_POLLERS)
        self._polling = 0
        self._waits = False
        self._asked_at = float("-inf")
        self.under_way = 0
        """Batches that are closed and not decided."""
        self._time = loop_clock()
        self.origin = Gate()
        """Whether the source can be received from; the fork's other gate is about its destination."""
        self.polled_at = self._time()

    @property
    def open_batches(self) -> int:
        """How many batches are being gathered."""
        return self._batcher.open

    @property
    def probing(self) -> bool:
        """Whether anything is held that will tell, by its failure or success, how the destination is."""
        return self._passing.waiting + self._batcher.open + self.under_way > self._aside.excused

    @property
    def pollers(self) -> int:
        """How many receives may be under way; an ordered source is asked once at a time."""
        return 1 if self._gate.trouble or self._custody.trouble else self._found.count

    async def run(self) -> None:
        """Receive until the fork drains."""
        async with anyio.create_task_group() as tasks:
            self._start_pollers(tasks)

    def drain(self) -> None:
        """Let every poller see that the fork drains, and close what is open."""
        self.origin.drain()
        self._budget.close()
        self.close_all(CloseReason.DRAIN)

    @property
    def lacks_room(self) -> bool:
        """Whether receives wait for room, or what stands aside has taken all of its own."""
        return self._aside.is_full or bool(self._budget.refusing)

    def make_room(self) -> None:
        """Where what stands aside takes all the room, let some of it go."""
        if self.lacks_room:
            self._aside.make_room()

    def relieve(self) -> None:
        """Under pressure (receives are refused and the sink has a free slot) close the fullest batch."""
        self._close(self._batcher.close_fullest(CloseReason.PRESSURE))

    def close_all(self, reason: CloseReason) -> None:
        """Close every open batch."""
        self._close(self._batcher.close_all(reason))

    async def close_aged(self) -> None:
        """Close batches as they come of age, for as long as the fork lives."""
        while True:
            due = self._batcher.next_due
            if due is None:
                self._opened = anyio.Event()
                await self._opened.wait()
            else:
                await anyio.sleep(max(0.0, due - self._time()))
                self._close(self._batcher.close_due(self._time()))

    def gather(self, held: Sequence[Held]) -> None:
        """Put events into the batches of their partitions."""
        more = sum([one.decoded() for one in held if one.event.is_decoded or len(one.event.body) > one.size])
        if more:
            self._budget.grow(len(held), more)
        self._gather(held)

    def _gather(self, held: Sequence[Held]) -> None:
        if self._groups:
            self._gather_in_order(held, self._groups)
        elif closed := self._batcher.add_all(held, self._time()):
            self._close(closed)
        if self._gate.troubled:  # it is to tell how the destination is
            self.close_all(CloseReason.PROBE)
        self._opened.set()
        self._budget.wake()  # this may have to be closed to make room

    def _gather_in_order(self, held: Sequence[Held], groups: Groups) -> None:
        now = self._time()
        for one in held:
            # closed by size it goes on its way with its groups, so before anybody joins it
            self._close(self._batcher.make_room(one, one.partition))
            if groups.admits(one):
                self._close(self._batcher.add(one, one.partition, now))
            elif (waits_behind := groups.partition_of(one.group)) is not None:
                self._close(self._batcher.close(waits_behind, CloseReason.ORDER))
        if self._waits:  # for what may be behind these, and comes only after them
            self.close_all(CloseReason.ORDER)

    def finished(self, batch: Batch) -> None:
        """A batch is decided; in an ordered fork its groups may go on."""
        self.under_way -= 1
        if self._groups:
            freed = self._groups.finished(batch)
            self._landing.release(freed.behind)
            self._landing.release(freed.onward) if self._gate.draining else self._gather(freed.onward)

    def _start_pollers(self, tasks: TaskGroup) -> None:
        while self._polling < self.pollers:
            self._polling += 1
            tasks.start_soon(self._poll, tasks)

    async def _poll(self, tasks: TaskGroup) -> None:
        """Receive until the fork drains or has more pollers than it needs; the first one sees to others."""
        backoff = Backoff(first=0.5)
        try:
            while await self._goes_on():
                with TimeLimit() as limit:
                    while await self._goes_on():
                        await self._receive_next(limit, backoff, tasks)
                    return
                await self._not_received(limit.error, backoff)
        finally:
            self._polling -= 1

    async def _goes_on(self) -> bool:
        return await self._gate.receiving() and self._polling <= self.pollers

    async def _receive_next(self, limit: TimeLimit, backoff: Backoff, tasks: TaskGroup) -> None:
        wanted = self._wanted()
        if not wanted:
            await self._gate.rest(1.0)
            return
        if self._gate.troubled:
            await self._gate.pause_between_probes()
        with await self._budget.reserve(wanted) as room:
            async with self.origin.turn():
                receive = await self._receive(wanted, room.events, limit, backoff)
            if receive is None:
                return
            held = self._custody.keep(receive)
            self._budget.charge(len(held), sum([one.charge for one in held]))
        self._found.answered(len(held), room.events, self._time(), refused=bool(self._budget.refusing))
        self._start_pollers(tasks)
        await self._take(held, tasks, full=len(held) >= room.events)

    def _wanted(self) -> int:
        """How many events this poller may ask for now: one, if that has to tell how the destination is."""
        if not self._gate.receives:
            return 0
        if not self._gate.trouble and not self._custody.trouble:
            return self._source.max_receive
        held = self._budget.events if self._custody.trouble else self.probing
        return 0 if held else 1

    async def _receive(self, wanted: int, events: int, limit: TimeLimit, backoff: Backoff) -> Receive | None:
        if self._wanted() < wanted:
            return None  # so it was before the waits
        # what is open in an ordered fork holds back the next events of its groups: don't wait for others meanwhile
        wait = 0.0 if self._groups and self._batcher.open else self._poll_wait
        began = self._time()
        self._waits = wait > 0
        try:
            answer = partial(self._answer, events, wait, is_probe=self._gate.troubled)
            receive = await limit.ask(answer, wait + self.ANSWER_SECONDS)
        except DeliveryError as error:
            await self._not_received(error, backoff)
            return None
        finally:
            self._waits = False
        self.polled_at = self._time()
        self.origin.succeeded()
        backoff.reset()
        size = sum([one.size for one in receive.held])
        self._meter.received(len(receive.held), size, events, self.polled_at - began)
        if not receive.held:  # a source that doesn't wait for its first event is asked once a second
            await self._gate.rest(min(1.0, began + wait - self.polled_at))
        return receive

    async def _not_received(self, error: DeliveryError, backoff: Backoff) -> None:
        self.polled_at = self._time()  # backing off is a reason to wait, not a stall
        self._meter.failed("source", error, 1)
        if isinstance(error, UnavailableError | PermanentError):
            self.origin.halt(error)
        else:
            await self._gate.rest(backoff.wait())

    async def _answer(self, limit: int, wait: float, *, is_probe: bool) -> Receive:
        answer = await self._source.receive(limit, hold=self._custody.hold, wait=wait)
        return self._custody.read(answer, self._time(), is_probe=is_probe)

    async def _take(self, held: list[Held], tasks: TaskGroup, *, full: bool) -> None:
        if not held:
            await self._look_at_quota()
        elif self._gate.draining:
            self._landing.release(held)
        elif self._gate.paused:  # shown when no poll is under way any more, which would only receive it again
            self._landing.release(held, after=self._poll_wait)
        else:
            await self._passing.run(held, tasks)
        if self._groups and not full:
            self.close_all(CloseReason.ORDER)

    def _close(self, batches: Sequence[Batch]) -> None:
        """Send closed batches on their way."""
        for batch in batches:
            if self._groups:
                self._groups.closed(batch)
            assert batch.reason is not None  # noqa: S101  # the batcher says why
            age = self._time() - batch.opened_at
            self._meter.closed(batch.reason.value, len(batch.held), batch.bytes, age)
            self.under_way += 1
            self._on_batch(batch)

    async def _look_at_quota(self) -> None:
        """An empty receive while much is held: beyond its quota a queue answers with nothing, without a word."""
        limit, now = self._source.in_flight_limit, self._time()
        if limit is None or self._budget.events < limit // 100 or now - self._asked_at < 60:
            return
        self._asked_at = now

        async def is_near() -> bool:
            backlog = await self._source.backlog()
            return backlog is not None and backlog.in_flight >= 0.9 * limit

        try:
            if await ask(is_near, self.ANSWER_SECONDS):
                self.close_all(CloseReason.QUOTA)
        except DeliveryError as error:
            self._meter.failed("source", error, 1)
