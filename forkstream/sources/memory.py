"""A source in memory, for tests, trials and plugins' authors: a queue that behaves as SQS does."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Meta

from forkstream.event import Event
from forkstream.ports import Backlog, Context, Receipt, Refusal, Source
from forkstream.settings import Settings


class MemoryConfig(Settings):
    """Settings of the source in memory."""

    ordered: Annotated[bool, Meta(description="bring events of one group in order, as a FIFO queue does")] = False


class _Message:
    __slots__ = ("event", "receipt", "receives", "visible_at")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.receives = 0
        self.visible_at = float("-inf")
        self.receipt = -1


class MemorySource(Source[MemoryConfig]):
    """Hides what it hands out, counts receives, and refuses a receipt that a later receive has replaced.

    Put events in with ``put``; ``settled`` lists what was deleted, ``released`` what was shown again and when.
    """

    def __init__(self, config: MemoryConfig, context: Context) -> None:
        super().__init__(config, context)
        self.ordered = config.ordered
        self._messages: dict[int, _Message] = {}
        self._by_receipt: dict[Receipt, int] = {}
        self._numbers = itertools.count()
        self._receipts = itertools.count()
        self._arrived = anyio.Event()
        self.settled: list[Event] = []
        self.released: list[tuple[Event, float]] = []

    def put(self, events: Iterable[Event]) -> None:
        """Send events to this queue."""
        for event in events:
            self._messages[next(self._numbers)] = _Message(event)
        self._arrived.set()

    @property
    def waiting(self) -> list[Event]:
        """Everything that is not deleted, visible or not."""
        return [message.event for message in self._messages.values()]

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        with anyio.move_on_after(wait):
            while not (answer := self._take(limit, hold)):
                if self._arrived.is_set():  # else another receive waits for it too
                    self._arrived = anyio.Event()
                with anyio.move_on_after(max(0.001, self._next_visible() - anyio.current_time())):
                    await self._arrived.wait()
            return answer
        return self._take(limit, hold)

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        await anyio.lowlevel.checkpoint()
        refused = []
        for receipt in receipts:
            number = self._by_receipt.pop(receipt, None)
            if number is None:
                refused.append(Refusal(receipt, lost=True, code="receipt_expired"))
            else:
                self.settled.append(self._messages.pop(number).event)
        return refused

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        await anyio.lowlevel.checkpoint()
        now = anyio.current_time()
        refused = []
        for receipt in receipts:
            number = self._by_receipt.get(receipt)
            if number is None or self._messages[number].visible_at <= now:
                refused.append(Refusal(receipt, lost=True, code="not_in_flight"))
                continue
            self._messages[number].visible_at = now + seconds
            self.released.append((self._messages[number].event, seconds))
        self._arrived.set()
        return refused

    async def backlog(self) -> Backlog:
        now = anyio.current_time()
        in_flight = sum(message.visible_at > now for message in self._messages.values())
        return Backlog(ready=len(self._messages) - in_flight, in_flight=in_flight)

    def _take(self, limit: int, hold: float) -> list[tuple[Event, Receipt]]:
        now = anyio.current_time()
        hidden: set[str | None] = set()
        if self.ordered:
            hidden = {message.event.group for message in self._messages.values() if message.visible_at > now}
        answer: list[tuple[Event, Receipt]] = []
        for number, message in self._messages.items():
            if len(answer) == limit:
                break
            if message.visible_at > now or (self.ordered and message.event.group in hidden):
                continue
            self._by_receipt.pop(message.receipt, None)
            message.receipt = next(self._receipts)
            self._by_receipt[message.receipt] = number
            message.receives += 1
            message.visible_at = now + hold
            answer.append((_received(message), message.receipt))
        return answer

    def _next_visible(self) -> float:
        now = anyio.current_time()
        return min(
            (message.visible_at for message in self._messages.values() if message.visible_at > now),
            default=float("inf"),
        )


def _received(message: _Message) -> Event:
    return msgspec.structs.replace(message.event, receive_count=message.receives)
