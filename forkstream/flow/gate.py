"""The gate: whether a fork may receive, and who may try a destination that is in trouble."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import anyio
import msgspec

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, UnavailableError
from forkstream.flow.dead_ratio import DeadRatio
from forkstream.flow.loop_time import loop_clock

TOO_MANY_DEAD = "dead_letter_ratio"
"""The code of a trouble that began since too many events were about to become dead letters."""


class State(enum.Enum):
    """How a fork stands towards its source and its destination."""

    OPEN = "open"
    PROBING = "probing"  # one event at a time, after an outage or too many dead letters
    HALTED = "halted"  # receives nothing: someone has to mend the destination


class Trouble(msgspec.Struct, frozen=True):
    """Why a fork isn't open. ``code`` is safe to show anywhere, ``detail`` names a permission or resource."""

    state: State
    code: str
    detail: str
    since: float


class Gate:
    """A fork's one view of its destination's health.

    Trouble begins with ``halt`` (unavailable: nothing is received) or ``probe`` (an outage outlasted the retries: one
    event at a time is received). While there is trouble, one write at a time is tried, after a growing back-off; the
    first that succeeds ends the trouble for all.
    """

    BACKOFF = (1.0, 60.0)
    DEAD_MINIMUM = 10
    """So many events must have died lately before their share can halt a fork."""

    def __init__(self, *, paused: bool = False, max_dead_ratio: float = 1.0) -> None:
        self.paused = paused
        self.draining = False
        self.trouble: Trouble | None = None
        self._time = loop_clock()
        self._changed = anyio.Event()
        self._prober = anyio.Lock()
        self._backoff = Backoff(*self.BACKOFF)
        self._next_try = 0.0
        self._accused_alone = 0
        self.succeeded_at = self.opened_at = float("-inf")
        self._dead = DeadRatio(max_dead_ratio, self.DEAD_MINIMUM)
        self._dead_in_stages = DeadRatio(max_dead_ratio, self.DEAD_MINIMUM)

    @property
    def state(self) -> State:
        """How the fork stands now; pausing and draining are told apart from it."""
        return self.trouble.state if self.trouble else State.OPEN

    @property
    def troubled(self) -> bool:
        """Whether the destination is in trouble now."""
        return self.trouble is not None

    @property
    def patient(self) -> bool:
        """Whether events that nobody can be blamed for are held and tried again; a gate without pauses gives them back."""
        return self.BACKOFF[1] > 0 and not self.draining

    # What operators and the service ask for.

    def pause(self, paused: bool) -> None:
        """Stop receiving, or go on; what is held is written all the same."""
        self.paused = paused
        self.wake()

    def drain(self) -> None:
        """Receive nothing more, for good."""
        self.draining = True
        self.wake()

    # What deliveries and the source report.

    def halt(self, error: DeliveryError) -> None:
        """The destination or the source cannot be used: receive nothing until a try succeeds."""
        # another kind's detail may quote an event, and this one is shown to everybody
        self._begin(State.HALTED, error.code, error.detail if isinstance(error, UnavailableError) else "")

    def probe(self, code: str) -> None:
        """An outage outlasted the retries, or a probe failed: receive one event at a time until a write succeeds."""
        self._begin(State.PROBING, code, "")

    def succeeded(self) -> None:
        """Something was written (or received, after a trouble of the source): all is well."""
        self.succeeded_at = self._time()
        self._accused_alone = 0
        if self.trouble:
            self.trouble = None
            self.opened_at = self.succeeded_at
            self._backoff.reset()
            self._next_try = 0.0
            self.wake()

    def checked(self) -> None:
        """A halted destination says that it could be used: receive one event at a time to see."""
        if self.trouble:
            self.trouble = msgspec.structs.replace(self.trouble, state=State.PROBING)
            self.wake()

    def accuse(self) -> bool:
        """One event, written alone, failed for a reason that may be the plugin's: may it be blamed?

        The first may. A second with no success in between points at the plugin or the destination, not at two events.
        """
        self._accused_alone += 1
        return self._accused_alone == 1 and not self.troubled

    def settled(self, events: int) -> None:
        """Count events that ended well, against which the dead are weighed."""
        self._dead.count(events, 0, self._time())

    def passed(self, events: int) -> None:
        """Count events that came through the stages, against which those that die there are weighed.

        Those that end well are counted too late for them: minutes later, where a batch takes as long.
        """
        self._dead_in_stages.count(events, 0, self._time())

    def may_bury(self, events: int, *, in_stages: bool = False) -> bool:
        """Tell whether so many more events may become dead letters; if not, the fork receives one at a time."""
        ratio = self._dead_in_stages if in_stages else self._dead
        in_doubt = self.trouble is not None and self.trouble.code == TOO_MANY_DEAD
        if not in_doubt and ratio.allows(events, self._time()):
            if in_stages:
                self._dead.count(0, events, self._time())
            return True
        self.probe(TOO_MANY_DEAD)
        return False

    # Waiting.

    @property
    def receives(self) -> bool:
        """Whether the fork may receive now, as far as this gate is concerned."""
        return not self.draining and not self.paused and (self.trouble is None or self.trouble.state is State.PROBING)

    async def receiving(self) -> bool:
        """Wait while paused or halted; False once the fork drains."""
        while not self.draining and not self.receives:
            await self._changed.wait()
        return not self.draining

    async def no_trouble(self) -> None:
        """Wait while there is trouble, until the fork drains."""
        while self.troubled and not self.draining:
            await self._changed.wait()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold the right to try a write: at once while all is well, else one at a time and after the back-off."""
        return self._turn() if self.troubled else nullcontext()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        while self.troubled:
            async with self._prober:
                if not self.troubled:
                    break
                await self.pause_between_probes()
                if self.troubled:  # still, so this is the one that tries
                    yield
                    return
        yield

    async def pause_between_probes(self) -> None:
        """Wait for the back-off of the trouble, or until it ends."""
        await self.wait_until(self._next_try, lambda: not self.troubled)

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until the fork drains."""
        await self.wait_until(self._time() + seconds, lambda: False)

    async def wait_until(self, time: float, over: Callable[[], bool]) -> None:
        """Wait until so late (the loop's clock), or until it is over, or the fork drains."""
        if time <= self._time():
            return
        with anyio.CancelScope(deadline=time):
            while not over() and not self.draining:
                await self._changed.wait()

    async def change(self, within: float) -> None:
        """Wait until anything about the fork's health changes, for so many seconds at most."""
        with anyio.move_on_after(within):
            await self._changed.wait()

    def _begin(self, state: State, code: str, detail: str) -> None:
        now = self._time()
        since = self.trouble.since if self.trouble else now
        if self.state is State.HALTED and state is State.PROBING:
            return  # halted is the stronger; only a success ends it
        self.trouble = Trouble(state, code, detail, since)
        if now >= self._next_try:  # writes that were under way together and fail together are one failed try
            self._next_try = now + self._backoff.wait()
        self.wake()

    def wake(self) -> None:
        """Let all who wait here look again."""
        self._changed.set()
        self._changed = anyio.Event()
