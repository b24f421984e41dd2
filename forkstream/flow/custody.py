"""What a fork holds: events between receive and settlement, kept hidden from other consumers meanwhile.

Deadlines are kept per receive, never per event: all events of one receive were hidden at the same moment.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, Self, TypeAlias

import anyio
import msgspec

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, UnavailableError
from forkstream.event import Event
from forkstream.flow.ask import ask
from forkstream.flow.gate import State, Trouble
from forkstream.flow.loop_time import loop_time
from forkstream.ports import Receipt, Refusal, Source
from forkstream.settings import Settings

Apply: TypeAlias = Callable[[Sequence[Receipt]], Awaitable[Collection[Refusal]]]


# Measured with tracemalloc on an order of 626 bytes with SQS's handle of 400 (Python 3.11): 1,450 bytes as received, 3,200
# more once it is decoded. A document that is one long string takes less.
_OVERHEAD: Final = 420
DECODED: Final = 5
"""Times its bytes that a body takes as decoded data."""


class Outcome(enum.Enum):
    """The one thing that becomes of a held event."""

    DONE = "done"  # written, durably: delete it
    DROPPED = "dropped"  # a stage decided so: delete it
    DEAD = "dead"  # its dead letter is durable: delete it
    RETRY = "retry"  # show it again after a while


class Held(msgspec.Struct, eq=False):
    """One event in the fork's hands, with its receipt. ``event`` changes as the event goes through its stages.

    ``partition`` is known when it has gone through them. ``group`` and ``receives`` are what the source said, whatever a
    stage makes of the event, as is ``size``, its body's.
    """

    # a Struct takes 0.07 µs to make; a class with slots and an __init__ took 0.33

    event: Event
    receipt: Receipt
    receive: Receive
    size: int
    charge: int
    group: str | None
    receives: int
    partition: str = ""
    outcome: Outcome | None = None

    @classmethod
    def of(cls, event: Event, receipt: Receipt, receive: Receive) -> Self:
        """Hold an event of a receive."""
        return cls.all_of([(event, receipt)], receive)[0]

    @classmethod
    def all_of(cls, answer: Iterable[tuple[Event, Receipt]], receive: Receive) -> list[Self]:
        """Hold the events of a receive; raises TypeError for what is no event, or a receipt that nothing can be told by."""
        held: list[Self] = []
        for event, receipt in answer:
            if not isinstance(event, Event):
                raise TypeError(f"receive returned {type(event).__name__}, not an event")
            size = len(event.body)
            charge = _OVERHEAD + size
            if event.attributes:  # SQS takes as many bytes of them as of a body
                charge += sum([len(name) + len(one.value) for name, one in event.attributes.items()])
            if isinstance(receipt, str):
                charge += len(receipt)
            else:
                hash(receipt)
            held.append(cls(event, receipt, receive, size, charge, event.group, event.receive_count))
        return held

    def decoded(self) -> int:
        """Charge what the event takes since a stage has decoded or enlarged it; returns how many bytes that is more."""
        size = len(self.event.body)
        more = max(0, size - self.size) + (DECODED * size if self.event.is_decoded else 0)
        self.charge += more
        return more


class Receive:
    """The events of one receive that are not settled, and until when they are hidden (seconds of the loop's clock).

    ``is_probe`` if it was of one event, to see whether a trouble is over.
    """

    __slots__ = ("extend_at", "held", "hidden_until", "hold_until", "is_probe")

    def __init__(self, now: float, hold: float, hold_limit: float, *, is_probe: bool = False) -> None:
        self.held: dict[Held, None] = {}  # a settled one leaves: its body must not outlive it in the company of others
        self.hold_until = now + hold_limit
        self.is_probe = is_probe
        self.hidden(now, hold)

    def hidden(self, now: float, seconds: float) -> None:
        """Note that these events are hidden for ``seconds`` from now; half of that is kept as a reserve."""
        self.hidden_until = now + seconds
        self.extend_at = now + seconds / 2 if self.hidden_until < self.hold_until - 1 else math.inf


class Custody:
    """Keeps every held event hidden until it is settled, by extending its visibility before half of it is gone."""

    PATIENCE = 1.0
    """Seconds between two passes at least, so that extensions travel in full batches of ten."""
    ANSWER_SECONDS = 60.0
    """How long the source may take to settle or hide up to a thousand events, and as long for each thousand more."""

    def __init__(self, source: Source[Settings], hold: float, on_trouble: Callable[[DeliveryError], None]) -> None:
        self._source = source
        self._hold = hold
        self._on_trouble = on_trouble
        self._receives: set[Receive] = set()
        self._quiet = anyio.Lock()
        self.extended = 0
        self.trouble: Trouble | None = None
        """Why the source doesn't let this fork settle or hide events, if someone has to mend that: receive nothing more."""

    @property
    def settles_at_once(self) -> int:
        """How many events the source settles in one request."""
        return self._source.max_settle

    @property
    def hold(self) -> float:
        """Seconds for which a receive hides its events."""
        return self._hold

    def read(self, answer: Iterable[tuple[Event, Receipt]], now: float, *, is_probe: bool = False) -> Receive:
        """Read what a receive was answered, which hid it for ``hold`` seconds; raises TypeError where that is no answer.

        It is held only from ``keep`` on.
        """
        receive = Receive(now, self._hold, self._source.hold_limit, is_probe=is_probe)
        receive.held = dict.fromkeys(Held.all_of(answer, receive))
        return receive

    def keep(self, receive: Receive) -> list[Held]:
        """Hold the events of one receive."""
        if receive.held:
            self._receives.add(receive)
        return [*receive.held]

    def take(self, answer: Iterable[tuple[Event, Receipt]], now: float) -> list[Held]:
        """Hold the events of one receive, which hid them for ``hold`` seconds."""
        return self.keep(self.read(answer, now))

    def forget(self, held: Iterable[Held]) -> None:
        """These are settled: nothing is extended for them any more."""
        for receive, settled in groupby(held, attrgetter("receive")):  # they come in runs
            for one in settled:
                receive.held.pop(one, None)
            if not receive.held:
                self._receives.discard(receive)

    def undecided(self) -> list[Held]:
        """Everything that has no outcome yet, or is to be shown again and is not: what a drain has to release."""
        open_ = (None, Outcome.RETRY)
        return [held for receive in self._receives for held in receive.held if held.outcome in open_]

    async def run(self) -> None:
        """Extend what is due, for as long as the fork lives."""
        while True:
            # what comes meanwhile is not due before half of the hold is over
            next_due = min((receive.extend_at for receive in self._receives), default=math.inf)
            await anyio.sleep(max(self.PATIENCE, min(next_due - loop_time(), self._hold / 2)))
            now = loop_time()
            due: dict[int, list[Receive]] = {}
            for receive in self._due(now):
                # SQS refuses what would hide a message for more than 12 hours in all
                due.setdefault(math.floor(min(self._hold, receive.hold_until - now)), []).append(receive)
            for seconds, receives in due.items():
                await self._extend(receives, now, seconds)

    def _due(self, now: float) -> list[Receive]:
        """Tell what has to be extended, and what is due soon and may travel along: so much as the last request has room for."""
        due = [receive for receive in self._receives if receive.extend_at <= now]
        room = -sum([len(receive.held) for receive in due]) % self.settles_at_once
        if room:
            soon = now + self._hold / 4
            others = [receive for receive in self._receives if now < receive.extend_at <= soon]
            for receive in sorted(others, key=lambda one: one.extend_at):
                room -= len(receive.held)
                if room < 0:
                    break
                due.append(receive)
        return due

    async def _extend(self, due: list[Receive], now: float, seconds: int) -> None:
        # One that waits to be shown again is left alone: an extension would hide it for longer.
        async with self._quiet:
            receipts = [held.receipt for receive in due for held in receive.held if held.outcome is not Outcome.RETRY]
            if not receipts or seconds < 1:
                return
            try:
                # an answer that is lost leaves time for another try
                patience = min(self.ANSWER_SECONDS, self._hold / 4)
                refused = await self._ask(lambda some: self._source.hold(some, seconds), receipts, patience)
            except DeliveryError as error:
                self._on_trouble(error)  # tried again at the next pass; half of the time is still left
                return
        self.extended += len(receipts) - len(refused)
        not_yet = {receipt for receipt, refusal in refused.items() if not refusal.lost}
        for receive in due:
            if not_yet.isdisjoint(held.receipt for held in receive.held):  # else all of it again at the next pass
                receive.hidden(now, seconds)

    async def delete(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, Refusal]:
        """Settle events for good. Returns what the source refuses, by receipt; raises DeliveryError."""
        return await self._ask(self._source.delete, receipts)

    async def show_again(self, receipts: Sequence[Receipt], seconds: float) -> Mapping[Receipt, Refusal]:
        """End the hold: visible to everybody after ``seconds``, 0 for at once. Returns and raises as ``delete`` does.

        Never beside an extension that is under way: the later of the two would win, and hide the event again. One that
        begins later leaves these alone, and doesn't wait for them.
        """
        async with self._quiet:
            pass
        return await self._ask(lambda some: self._source.hold(some, seconds), receipts)

    async def release(self) -> None:
        """Show again at once what is undecided, or it would stay hidden until its visibility runs out."""
        backoff = Backoff(first=0.1)
        receipts = [one.receipt for one in self.undecided()]
        while receipts:
            try:
                refused = await self.show_again(receipts, 0)
                receipts = [receipt for receipt, refusal in refused.items() if not refusal.lost]
            except DeliveryError as error:
                self._on_trouble(error)
            await anyio.sleep(backoff.wait() if receipts else 0)

    async def _ask(
        self, apply: Apply, receipts: Sequence[Receipt], patience: float = ANSWER_SECONDS
    ) -> dict[Receipt, Refusal]:
        async def answer() -> dict[Receipt, Refusal]:
            refusals = [*await apply(receipts)]
            given = set(receipts) if refusals else set()
            return {refusal.receipt: refusal for refusal in refusals if refusal.receipt in given}

        try:
            refused = await ask(answer, patience * (1 + len(receipts) // 1000))
        except UnavailableError as error:
            since = self.trouble.since if self.trouble else loop_time()
            self.trouble = Trouble(State.HALTED, error.code, error.detail, since)
            raise
        self.trouble = None
        return refused
