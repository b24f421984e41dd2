"""Aside: where held events wait that fail although nobody is to blame, while others are received to tell.

What fails as a probe, or is accused while too many are, may itself be at fault, or not. It is held and tried again, since
given back it would only burn its receives; but it must keep nobody else from a try, by its place in the budget no more
than by its slot or its turn.
"""

from __future__ import annotations

import math
from collections import deque
from types import TracebackType
from typing import Self

from forkstream.backoff import Backoff
from forkstream.flow.custody import Held
from forkstream.flow.gate import TOO_MANY_DEAD, Gate
from forkstream.flow.loop_time import loop_clock


class Aside:
    """All that stands aside of one fork. They are tried one at a time, so that what is received next waits for one at most.

    Where they take all the room, one after another has to leave, to be shown again later each time.
    """

    MOST = 100
    """So many stand aside at most while another is received."""
    BREATH = 5.0
    """Seconds after a trouble for which they let others go first: with them it may begin again."""
    PACE = (1.0, 7200.0)
    """Seconds between two that die, at first and grown at most; at first again once anything goes through."""
    MOST_LEAVES = 10
    """So often one has to leave, refused each time, before it may die: then a queue's redrive usually takes it."""
    REMEMBERED = 1000
    """Of so many it is known how often they had to leave; it is forgotten when a trouble ends, and when the process does."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.places: dict[Place, None] = {}
        self.line: deque[Place] = deque()
        self._time = loop_clock()
        self._backoff = Backoff(*self.PACE)
        self._next = self._well_at = float("-inf")
        self._leaves: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether one has to leave before another is received."""
        return len(self.places) >= self.MOST

    @property
    def excused(self) -> int:
        """How many of those in hand are no reason to receive nothing else."""
        return 0 if self.is_full else len(self.places)

    def place(self) -> Place:
        """A place for some events of one fate, which is taken only if they need it."""
        return Place(self)

    def make_room(self) -> None:
        """Ask the one that stands here the longest to go back to its source, unless one is about to."""
        longest = next(iter(self.places), None)
        if longest and not longest.leaves:
            longest.leaves = True
            self.gate.wake()

    def may_die(self, held: Held, *, leaves: bool = False) -> bool:
        """Tell whether this one may, which is refused although too many die: it was the one event in hand, to the end.

        One that ``leaves`` was not heard to the end, unless it had to leave again and again: where nothing but such is left
        in the queue, nothing else will tell. What breaks for all must not empty the queue one by one, so few may.
        """
        if self.gate.succeeded_at > self._well_at:
            self._well_at, self._next = self.gate.succeeded_at, float("-inf")
            self._backoff.reset()
            self._leaves.clear()
        if not held.receive.is_probe or (leaves and not self._leaves_again(held.event.id)):
            return False
        now = self._time()
        if now < self._next:
            return False
        self._next = now + self._backoff.wait()
        return True

    def _leaves_again(self, event: str) -> bool:
        """Note that this one leaves while too many die; tell whether it has done so too often."""
        trouble = self.gate.trouble
        if self.gate.draining or trouble is None or trouble.code != TOO_MANY_DEAD:
            return False  # what refused it may be mended by now
        self._leaves[event] = times = self._leaves.pop(event, 0) + 1
        if len(self._leaves) > self.REMEMBERED:
            del self._leaves[next(iter(self._leaves))]
        return times >= self.MOST_LEAVES


class Place:
    """One place aside, for a batch or what failed of one receive. Leaving the block gives it up."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._gate = aside.gate
        self._time = loop_clock()
        self.leaves = False
        """Whether its events have to go back to their source, since others need the room."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._aside.places.pop(self, None)
        self._leave_line()

    @property
    def taken(self) -> bool:
        """Whether its events stand aside."""
        return self in self._aside.places

    def take(self) -> None:
        """Stand aside from now on."""
        self._aside.places[self] = None

    def goes(self, until: float = math.inf) -> bool:
        """Tell whether to go on: it is its turn, all is well again, its time is over, or it has to leave."""
        if self.leaves or self._gate.draining or self._time() >= until:
            return True
        if not self._gate.troubled:
            return self._time() >= self._well_at
        return bool(self._aside.line) and self._aside.line[0] is self

    async def rest(self, seconds: float, until: float) -> None:
        """Wait so long, then for its turn, but not beyond ``until``."""
        self._leave_line()
        await self._gate.wait_until(min(self._time() + seconds, until), lambda: self.leaves)
        await self.line_up(until)

    async def line_up(self, until: float) -> None:
        """Wait until ``goes``."""
        if self not in self._aside.line:
            self._aside.line.append(self)
        while not self.goes(until):
            if self._gate.troubled:
                await self._gate.wait_until(until, lambda: self.goes(until) or not self._gate.troubled)
            else:
                await self._gate.wait_until(min(until, self._well_at), lambda: self.leaves or self._gate.troubled)

    @property
    def _well_at(self) -> float:
        return self._gate.opened_at + self._aside.BREATH

    def _leave_line(self) -> None:
        if self in self._aside.line:
            self._aside.line.remove(self)
            self._gate.wake()
