"""What a fork holds: events between receive and settlement, kept hidden from other consumers meanwhile.

Deadlines are kept per receive, never per event: all events of one receive were hidden at the same moment.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence

import anyio

from forkstream.errors import DeliveryError, as_delivery_error
from forkstream.event import Event
from forkstream.ports import Receipt, Refusal, Source
from forkstream.settings import Settings


class Outcome(enum.Enum):
    """The one thing that becomes of a held event."""

    DONE = "done"  # written, durably: delete it
    DROPPED = "dropped"  # a stage decided so: delete it
    DEAD = "dead"  # its dead letter is durable: delete it
    RETRY = "retry"  # show it again after a while


class Held:
    """One event in the fork's hands, with its receipt. ``event`` changes as the event goes through its stages."""

    __slots__ = ("charge", "event", "outcome", "receipt", "receive", "settled")

    def __init__(self, event: Event, receipt: Receipt, receive: Receive) -> None:
        self.event = event
        self.receipt = receipt
        self.receive = receive
        self.charge = len(event.body)
        self.outcome: Outcome | None = None
        self.settled = False


class Receive:
    """The events of one receive and until when they are hidden (seconds of the loop's clock)."""

    __slots__ = ("extend_at", "held", "hidden_until", "hold_until", "unsettled")

    def __init__(self, now: float, hold: float, hold_limit: float) -> None:
        self.held: list[Held] = []
        self.unsettled = 0
        self.hold_until = now + hold_limit
        self.hidden(now, hold)

    def hidden(self, now: float, seconds: float) -> None:
        """Note that these events are hidden for ``seconds`` from now; half of that is kept as a reserve."""
        self.hidden_until = now + seconds
        self.extend_at = now + seconds / 2


class Custody:
    """Keeps every held event hidden until it is settled, by extending its visibility before half of it is gone."""

    PATIENCE = 1.0
    """Seconds between two passes at least, so that extensions travel in full batches of ten."""

    def __init__(self, source: Source[Settings], hold: float, on_trouble: Callable[[DeliveryError], None]) -> None:
        self._source = source
        self._hold = hold
        self._on_trouble = on_trouble
        self._receives: set[Receive] = set()
        self._quiet = anyio.Lock()
        self.extended = 0

    @property
    def hold(self) -> float:
        """Seconds for which a receive hides its events."""
        return self._hold

    def take(self, answer: Iterable[tuple[Event, Receipt]], now: float) -> list[Held]:
        """Hold the events of one receive, which hid them for ``hold`` seconds."""
        receive = Receive(now, self._hold, self._source.hold_limit)
        receive.held = [Held(event, receipt, receive) for event, receipt in answer]
        receive.unsettled = len(receive.held)
        if receive.held:
            self._receives.add(receive)
        return receive.held

    def forget(self, held: Iterable[Held]) -> None:
        """These are settled: nothing is extended for them any more."""
        for one in held:
            one.settled = True
            one.receive.unsettled -= 1
            if not one.receive.unsettled:
                self._receives.discard(one.receive)
                one.receive.held = []  # the two would keep each other, and an event's body, until a garbage collection

    def undecided(self) -> list[Held]:
        """Everything that has no outcome yet: what a drain has to release."""
        return [held for receive in self._receives for held in receive.held if held.outcome is None]

    async def run(self) -> None:
        """Extend what is due, for as long as the fork lives."""
        while True:
            await anyio.sleep(self.PATIENCE)
            now = anyio.current_time()
            due = [receive for receive in self._receives if receive.extend_at <= now]
            if due:
                await self._extend(due, now)

    async def _extend(self, due: list[Receive], now: float) -> None:
        # One that waits to be shown again is left alone: an extension would hide it for longer.
        async with self._quiet:
            receipts = [held.receipt for receive in due for held in receive.held if _is_kept(held, now)]
            try:
                refusals = await self._source.hold(receipts, self._hold)
            except Exception as error:  # noqa: BLE001  # a source's bug must not end the fork
                self._on_trouble(
                    as_delivery_error(error)
                )  # tried again at the next pass; half of the time is still left
                return
        self.extended += len(receipts) - len(refusals)
        refused = {refusal.receipt for refusal in refusals if not refusal.lost}
        for receive in due:
            if refused.isdisjoint(held.receipt for held in receive.held):  # else all of it again at the next pass
                # SQS refuses what would hide a message for more than 12 hours in all
                receive.hidden(now, min(self._hold, max(receive.hold_until - now, self.PATIENCE)))

    async def show_again(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        """End the hold: visible to everybody after ``seconds``, 0 for at once.

        Never beside an extension that is under way: the later of the two would win, and hide the event again.
        """
        async with self._quiet:
            return await self._source.hold(receipts, seconds)


def _is_kept(held: Held, now: float) -> bool:
    return not held.settled and held.outcome is not Outcome.RETRY and now < held.receive.hold_until
