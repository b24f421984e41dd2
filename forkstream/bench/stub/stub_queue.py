"""One standard queue of the stub: what is handed out is hidden until it is deleted or its visibility timeout is over."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable

import msgspec

from forkstream.bench.stub.arrivals import Arrivals
from forkstream.bench.stub.messages import Dealt
from forkstream.bench.stub.tally import Tally

IN_FLIGHT = 120_000
"""Messages that may be hidden at once; beyond it long polls bring nothing, without a word (see "Amazon SQS quotas")."""
_TICK = 0.002
_SWEEP = 1.0


class _Poll(msgspec.Struct, eq=False):
    limit: int
    hold: int
    on_answer: Callable[[list[Dealt]], None]
    timer: asyncio.TimerHandle | None = None


class StubQueue:
    """Deals messages that arrive by ``arrivals``, up to ten a receive, or a random number of 1 to ``deal``."""

    def __init__(self, arrivals: Arrivals, tally: Tally, deal: int | None) -> None:
        self._arrivals = arrivals
        self._tally = tally
        self._deal = deal
        self._dice = random.Random(1)  # noqa: S311  # not for secrets
        self._loop = asyncio.get_running_loop()
        self._held: dict[int, int] = {}  # when each was sent
        self._again: deque[tuple[int, int]] = deque()
        self._receives: dict[int, int] = {}  # of those that were received more than once
        self._hidden: deque[tuple[float, list[int]]] = deque()  # by receive
        self._hidden_until: dict[int, float] = {}  # of those whose visibility was changed
        self._changed: list[tuple[float, int]] = []  # a heap of the same
        self._polls: deque[_Poll] = deque()
        self._ticking = False
        self._swept_at = 0.0

    @property
    def held(self) -> int:
        """How many are hidden."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many can be received."""
        return self._arrivals.waiting + len(self._again)

    def receive(self, limit: int, hold: int, wait: int, on_answer: Callable[[list[Dealt]], None]) -> None:
        """Hand out up to ``limit`` messages, as soon as there is one and after ``wait`` seconds at the latest."""
        dealt = self._take(limit, hold)
        if dealt or not wait:
            on_answer(dealt)
            return
        poll = _Poll(limit, hold, on_answer)
        poll.timer = self._loop.call_later(wait, self._give_up, poll)
        self._polls.append(poll)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(_TICK, self._tick)

    def delete(self, number: int, receives: int) -> None:
        """Delete a message; one that is gone already, or that was received again since, is none of its business."""
        if self._receives and self._receives.get(number, 1) != receives:
            return
        sent = self._held.pop(number, None)
        if sent is None:
            return
        self._receives.pop(number, None)
        self._tally.deleted += 1
        age = int(time.time() * 1000) - sent
        latencies = self._tally.latencies
        latencies[age] = latencies.get(age, 0) + 1

    def change_visibility(self, number: int, seconds: int) -> bool:
        """Hide a message for so long from now, or show it; False if it is not hidden."""
        if number not in self._held:
            return False
        until = time.monotonic() + seconds
        self._hidden_until[number] = until
        heapq.heappush(self._changed, (until, number))
        if not seconds:
            self._sweep(time.monotonic())
        return True

    def _take(self, limit: int, hold: int) -> list[Dealt]:
        now = time.monotonic()
        if now - self._swept_at > _SWEEP:
            self._sweep(now)
        held = self._held
        if len(held) >= IN_FLIGHT:
            return []
        if self._deal is not None:
            limit = min(limit, self._dice.randint(1, self._deal))
        dealt = self._take_again(limit) if self._again else []
        dealt += [(number, sent, 1) for number, sent in self._arrivals.take(limit - len(dealt))]
        for number, sent, _ in dealt:
            held[number] = sent
        if dealt:
            self._hidden.append((now + hold, [one[0] for one in dealt]))
            self._tally.receives += 1
            self._tally.received += len(dealt)
            self._tally.wanted += limit
        return dealt

    def _take_again(self, limit: int) -> list[Dealt]:
        dealt: list[Dealt] = []
        while self._again and len(dealt) < limit:
            number, sent = self._again.popleft()
            receives = self._receives[number] = self._receives.get(number, 1) + 1
            self._hidden_until.pop(number, None)
            dealt.append((number, sent, receives))
        self._tally.repeated += len(dealt)
        return dealt

    def _sweep(self, now: float) -> None:
        """Show what was hidden for long enough."""
        self._swept_at = now
        while self._hidden and self._hidden[0][0] <= now:
            for number in self._hidden.popleft()[1]:
                if self._hidden_until.get(number, 0.0) <= now:
                    self._show(number)
        while self._changed and self._changed[0][0] <= now:
            until, number = heapq.heappop(self._changed)
            if self._hidden_until.get(number) == until:
                self._show(number)

    def _show(self, number: int) -> None:
        sent = self._held.pop(number, None)
        self._hidden_until.pop(number, None)
        if sent is not None:
            self._again.append((number, sent))

    def _tick(self) -> None:
        """Serve the polls that wait, the oldest first."""
        while self._polls:
            poll = self._polls[0]
            dealt = self._take(poll.limit, poll.hold)
            if not dealt:
                self._loop.call_later(_TICK, self._tick)
                return
            self._polls.popleft()
            self._answer(poll, dealt)
        self._ticking = False

    def _give_up(self, poll: _Poll) -> None:
        self._polls.remove(poll)
        self._tally.empty_receives += 1
        poll.on_answer([])

    def _answer(self, poll: _Poll, dealt: list[Dealt]) -> None:
        if poll.timer is not None:
            poll.timer.cancel()
        poll.on_answer(dealt)
