"""Settlement: the one outcome of each event is decided once, then applied at the source until it holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import anyio
import msgspec
from anyio.abc import TaskGroup

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError
from forkstream.flow.budget import Budget
from forkstream.flow.custody import Custody, Held, Outcome
from forkstream.flow.loop_time import loop_time
from forkstream.ports import Receipt, Refusal

Apply: TypeAlias = Callable[[Sequence[Receipt]], Awaitable[Mapping[Receipt, Refusal]]]


class DecidedTwiceError(AssertionError):
    """An event was given a second outcome: a bug of the runtime, never of a plugin."""


class _Pack(msgspec.Struct):
    """Decisions that travel together; ``due`` is when they leave, whether or not there are enough for full requests."""

    due: float
    held: list[Held] = []


class Settlement:
    """Decides outcomes and applies them at the source beside the flow, packed across batches.

    Deciding comes after the outcome's effect is durable, and cannot fail. Applying is retried while the receipt is
    valid; what the source refuses for good is counted as expired: the event comes again, and its sink writes it again.
    """

    LINGER = 0.04
    """Seconds that a decision may wait for company, so that deletes travel in full requests. What fills some leaves at once."""
    ASKING_SECONDS = 2.0
    """How long it may take to ask the source to show an event again."""
    CONCURRENCY = 8
    """How many groups of decisions are applied at once; a source may send several requests for each."""

    def __init__(self, custody: Custody, budget: Budget, on_trouble: Callable[[DeliveryError], None]) -> None:
        self._custody = custody
        self._budget = budget
        self._on_trouble = on_trouble
        self._packs: dict[int | None, _Pack] = {}  # None deletes, seconds show again
        self._closed = False
        self._woken = anyio.Event()
        self._slots = anyio.Semaphore(self.CONCURRENCY)
        self.settled: Counter[Outcome] = Counter()
        self.expired = 0

    def delete(self, held: Sequence[Held], outcome: Outcome) -> None:
        """Settle events for good: they are written, their dead letter is, or a stage dropped them."""
        self._decide(held, outcome, None)

    def show_again(self, held: Sequence[Held], delay: Callable[[Held], float]) -> None:
        """Settle events as retry: each comes again after ``delay`` seconds, rounded so that many travel together."""
        by_delay: dict[int, list[Held]] = {}
        latest = loop_time() + self.ASKING_SECONDS
        for one in held:  # a source refuses what would hide an event for longer than it lets anybody hold it
            by_delay.setdefault(math.ceil(max(0.0, min(delay(one), one.receive.hold_until - latest))), []).append(one)
        for seconds, group in by_delay.items():
            self._decide(group, Outcome.RETRY, seconds)

    def release_rest(self) -> None:
        """Let all that has no outcome come again at once, at the end of a drain."""
        self.show_again([one for one in self._custody.undecided() if one.outcome is None], lambda _: 0)

    def close(self) -> None:
        """No more decisions: ``run`` returns once all are applied."""
        self._closed = True
        self._woken.set()

    def end(self) -> None:
        """Let go of decisions that nobody will apply: their events come again."""
        self._packs.clear()
        self.close()

    async def run(self) -> None:
        """Apply decisions until ``close``, then what is left of them."""
        async with anyio.create_task_group() as tasks:
            while self._packs or not self._closed:
                self._woken = anyio.Event()
                self._send(tasks, loop_time())
                if not self._closed:
                    with anyio.CancelScope(deadline=min((pack.due for pack in self._packs.values()), default=math.inf)):
                        await self._woken.wait()

    def _send(self, tasks: TaskGroup, now: float) -> None:
        """Send on their way what fills whole requests and, of the rest, what has waited long enough."""
        for delay, pack in list(self._packs.items()):
            late = self._closed or now >= pack.due
            count = len(pack.held) - (0 if late else len(pack.held) % self._custody.settles_at_once)
            held, pack.held = pack.held[:count], pack.held[count:]
            if not pack.held:
                del self._packs[delay]
            if held:
                apply = self._custody.delete if delay is None else partial(self._custody.show_again, seconds=delay)
                tasks.start_soon(self._apply, held, apply)

    def _decide(self, held: Sequence[Held], outcome: Outcome, delay: int | None) -> None:
        if not held:
            return
        for one in held:
            if one.outcome is not None:
                raise DecidedTwiceError(f"{one.event!r} is {one.outcome.value}, now {outcome.value}")
            one.outcome = outcome
        self.settled[outcome] += len(held)
        pack = self._packs.get(delay)
        if pack is None:
            pack = self._packs[delay] = _Pack(loop_time() + self.LINGER)
            self._woken.set()
        pack.held += held
        if len(pack.held) >= self._custody.settles_at_once:
            self._woken.set()

    async def _apply(self, held: Sequence[Held], apply: Apply) -> None:
        backoff = Backoff(first=0.1, cap=10.0)
        while True:
            held = await self._apply_once(held, apply)
            if not held or not (held := self._still_valid(held)):
                return
            await anyio.sleep(backoff.wait())

    async def _apply_once(self, held: Sequence[Held], apply: Apply) -> Sequence[Held]:
        """Apply to all; returns those for which it has to be tried again."""
        try:
            async with self._slots:
                refused = await apply([one.receipt for one in held])
        except DeliveryError as error:
            self._on_trouble(error)
            return held
        if not refused:
            self._finish(held)
            return []
        self.expired += sum(refusal.lost for refusal in refused.values())
        again = [one for one in held if one.receipt in refused and not refused[one.receipt].lost]
        self._finish([one for one in held if one.receipt not in refused or refused[one.receipt].lost])
        return again

    def _still_valid(self, held: Sequence[Held]) -> Sequence[Held]:
        now = loop_time()
        gone = [one for one in held if now >= one.receive.hold_until]
        if not gone:
            return held
        self.expired += len(gone)
        self._finish(gone)
        return [one for one in held if now < one.receive.hold_until]

    def _finish(self, held: Sequence[Held]) -> None:
        self._custody.forget(held)
        self._budget.release(len(held), sum([one.charge for one in held]))
