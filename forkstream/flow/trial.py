"""A trial: some events of a batch, attempted with back-off until they are decided or accused as a whole.

attempt ─┬─ written                                             ▶ landing.written
         ├─ a part failed   permanent                           ▶ landing.dead
         │                  transient ▶ the part, again later   ▶ landing.again when patience ends
         ├─ TransientError            ▶ all of them, again later
         ├─ UnavailableError          ▶ the gate halts; held, and attempted when it is their turn
         └─ PermanentError or a bug   ▶ the trial ends with it: the delivery halves
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import anyio

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError, UnexpectedError
from forkstream.event import Event, Failure, FailureKind
from forkstream.flow.aside import Place
from forkstream.flow.ask import ask
from forkstream.flow.custody import Held
from forkstream.flow.destination import Accused, Destination
from forkstream.flow.gate import TOO_MANY_DEAD
from forkstream.flow.loop_time import loop_time
from forkstream.flow.patience import Patience, longest_wish
from forkstream.flow.writers import Writing


class Trial:
    """After ``run``, ``left`` are the events without an outcome; ``wrote`` tells whether any was written, and
    ``failed_groups`` which groups hold back.
    """

    def __init__(self, held: Sequence[Held], partition: str, to: Destination, place: Place) -> None:
        self.left = list(held)
        self._partition = partition
        self._to = to
        self._place = place
        self._patience = Patience(to.gate, to.retry, held)
        self._condemned: list[Accused] = []  # that may not die, since too many do
        self.wrote = False
        self.failed_groups: set[str | None] = set()

    async def run(self) -> DeliveryError | None:
        """Attempt until decided, or return the error that accuses every event that is left."""
        writing: Writing | None = None
        attempt = size = 0
        while True:
            if self._to.gate.troubled and not self._let_go_late():
                return None  # before a wait that may be long
            async with self._to.gate.turn():
                if not self._let_go_late():
                    return None
                if writing is None or len(self.left) < size:  # what is left of a batch is one of its own
                    writing, attempt, size = self._begin(), 0, len(self.left)
                attempt += 1
                error = await self._attempt(writing, attempt)
            if error is None or isinstance(error, PermanentError):
                return error
            if self._to.gate.draining and (self._condemned or isinstance(error, UnavailableError)):
                self.failed_groups |= {one.group for one in self.left}
                return None  # undecided: released when the fork ends
            pause = self._patience.pause(error, self.left)
            if pause is not None:
                self._to.on_retry(error)
                await self._rest(error, pause)
            if pause is None or self._place.leaves:
                self._give_up(error)
                return None

    async def _rest(self, error: DeliveryError, pause: float) -> None:
        """Wait for the next attempt, in nobody's way."""
        if self._patience.stands_aside(error, condemned=bool(self._condemned)):
            self._place.take()
        if self._place.taken and not self._to.gate.draining:
            until = self._patience.hold_ends(self.left)
            await self._to.rest(self._place.rest(pause, until))
            while not self._place.goes(until):  # it was, before this had its slot
                await self._to.rest(self._place.line_up(until))
        elif self._patience.others_go_through:
            await self._to.rest(anyio.sleep(pause))
        else:
            await anyio.sleep(pause)

    def _let_go_late(self) -> bool:
        """What waited until another consumer may soon have it is not written any more, but comes again. Is any left?"""
        now = loop_time()
        if not self.left or now < self._patience.safe_until or now < self._patience.hold_ends(self.left):
            return bool(self.left)
        late = {one for one in self.left if self._patience.hold_ends([one]) <= now}
        self._to.landing.again([one for one in self.left if one in late], "hold_ended")
        self.left = [one for one in self.left if one not in late]
        self._hold_back(late)
        return bool(self.left)

    def _begin(self) -> Writing:
        return self._to.writer.begin(self._partition, [one.event for one in self.left])

    async def _attempt(self, writing: Writing, number: int) -> DeliveryError | None:
        self._condemned = []
        began, events = loop_time(), len(self.left)
        try:
            failures = await ask(lambda: writing.attempt(number), self._to.retry.write_timeout)
        except DeliveryError as error:
            self._to.on_attempt(events, began, error)
            self._to.on_timed("failed", loop_time() - began)
            self._to.on_failure(error, len(self.left))
            if isinstance(error, UnavailableError):
                self._to.gate.halt(error)
            return error
        again = sum(failure.kind is FailureKind.TRANSIENT for failure in failures)
        self._to.on_attempt(events, began, TransientError("partial") if again * 10 >= events else None)
        outcome = "written" if not failures else "partial" if len(failures) < events else "failed"
        self._to.on_timed(outcome, loop_time() - began)
        return self._sort(failures)

    def _sort(self, failures: Collection[Failure]) -> DeliveryError | None:
        """Settle what is written and what is dead; keep what has to be tried again."""
        failed = {failure.event: failure for failure in failures}
        written, rest = self.left, list[Held]()
        if failed:
            written = [one for one in self.left if one.event not in failed]
            rest = [one for one in self.left if one.event in failed]
        if len({one.event for one in rest}) != len(failed):
            return UnexpectedError("foreign_failure", "the sink named an event that was not in its batch")
        self._report(failed.values())
        if written:
            self.wrote = True
            self._to.gate.settled(len(written))
            self._to.landing.written(written)
        dead = [_accused(one, failed) for one in rest if failed[one.event].kind is FailureKind.PERMANENT]
        self._condemned = [] if not dead or self._to.bury(dead) else dead
        if written and not self._condemned:
            self._to.gate.succeeded()
        gone = set() if self._condemned else {one.held for one in dead}
        self.left = [one for one in rest if one not in gone]
        self._hold_back(gone)
        if not self.left:
            return None
        wish = longest_wish(failed[one.event] for one in self.left)
        return TransientError(TOO_MANY_DEAD if self._condemned else "partial", retry_after=wish)

    def _report(self, failures: Collection[Failure]) -> None:
        wish = longest_wish(failures)
        counts = Counter((failure.kind, failure.code) for failure in failures)
        for (kind, code), count in counts.items():
            permanent = kind is FailureKind.PERMANENT
            self._to.on_failure(PermanentError(code) if permanent else TransientError(code, retry_after=wish), count)

    def _hold_back(self, gone: Collection[Held]) -> None:
        """In an ordered fork the later events of such a one's group come again behind it."""
        if not gone or not self._to.ordered:
            return
        self.failed_groups |= {one.group for one in gone}
        behind = [one for one in self.left if one.group in self.failed_groups]
        self.left = [one for one in self.left if one.group not in self.failed_groups]
        self._to.landing.again(behind, "behind")

    def _give_up(self, error: DeliveryError) -> None:
        """These events come again, later each time; if nothing went through at all, the fork receives one at a time."""
        self.failed_groups |= {one.group for one in self.left}
        self._patience.end(error)
        gone = self._to.bury_refused(self._condemned, leaves=self._place.leaves)
        self.left = [one for one in self.left if one not in gone]
        if not self.left:
            return
        dies = self._to.retry.then_dead and isinstance(error, TransientError)
        if not (dies and self._to.bury([Accused(one, error.code, error.detail) for one in self.left])):
            self._to.landing.again(self.left, error.code)


def _accused(held: Held, failed: dict[Event, Failure]) -> Accused:
    failure = failed[held.event]
    return Accused(held, failure.code, failure.detail)
