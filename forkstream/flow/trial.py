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

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError, as_delivery_error
from forkstream.event import Event, Failure, FailureKind
from forkstream.flow.custody import Held
from forkstream.flow.destination import Accused, Destination
from forkstream.flow.gate import State
from forkstream.flow.writers import Writing

HOLD_MARGIN = 60.0
"""Seconds before the source's hold limit at which events are given up, while they can still be shown again in order."""
MIN_PROBE_PATIENCE = 30.0
"""Seconds for which a probe is retried in place at least, however short the patience with other events."""


class Trial:
    """After ``run``, ``left`` are the events without an outcome; ``wrote`` tells whether any was written, and
    ``failed_groups`` which groups hold back.
    """

    def __init__(self, held: Sequence[Held], partition: str, to: Destination) -> None:
        self.left = list(held)
        self._partition = partition
        self._to = to
        self._backoff = Backoff()
        self._failing_since: float | None = None
        self._is_probe = to.gate.state is State.PROBING
        self.wrote = False
        self.failed_groups: set[str | None] = set()

    async def run(self) -> DeliveryError | None:
        """Attempt until decided, or return the error that accuses every event that is left."""
        writing, attempt = self._begin(), 0
        while self.left:
            attempt += 1
            async with self._to.gate.turn():
                error = await self._attempt(writing, attempt)
            if isinstance(error, PermanentError):
                return error
            if isinstance(error, UnavailableError) and self._to.gate.draining:
                return None  # undecided: released when the fork ends
            if error and not await self._wait(error):
                self._give_up(error)
                return None
            if error and error.code == "partial":
                # the rest is written, and this part is a batch of its own
                writing, attempt = self._begin(), 0
        return None

    def _begin(self) -> Writing:
        return self._to.writer.begin(self._partition, [one.event for one in self.left])

    async def _attempt(self, writing: Writing, number: int) -> DeliveryError | None:
        try:
            with anyio.fail_after(self._to.retry.write_timeout):
                failures = await writing.attempt(number)
        except Exception as raised:  # noqa: BLE001  # a plugin's bug accuses its events, it never ends the fork
            error = as_delivery_error(raised)
            self._to.on_failure(error, len(self.left))
            if isinstance(error, UnavailableError):
                self._to.gate.halt(error)
            return error
        return self._sort(failures)

    def _sort(self, failures: Collection[Failure]) -> DeliveryError | None:
        """Settle what is written and what is dead; keep what has to be tried again."""
        failed = {failure.event: failure for failure in failures}
        written = [one for one in self.left if one.event not in failed]
        rest = [one for one in self.left if one.event in failed]
        if len(rest) != len(failed):
            return PermanentError("foreign_failure", "the sink named an event that was not in its batch")
        self.left = [one for one in rest if failed[one.event].kind is FailureKind.TRANSIENT]
        dead = [_accused(one, failed) for one in rest if failed[one.event].kind is FailureKind.PERMANENT]
        self._report(failed.values())
        if written:
            self.wrote = True
            self._to.gate.settled(len(written))
            self._to.landing.written(written)
        buried = not dead or self._to.bury(dead)
        if written and buried:
            self._to.gate.succeeded()
        self._hold_back(dead)
        return TransientError("partial") if self.left else None

    def _report(self, failures: Collection[Failure]) -> None:
        counts = Counter((failure.kind, failure.code) for failure in failures)
        for (kind, code), count in counts.items():
            error = PermanentError if kind is FailureKind.PERMANENT else TransientError
            self._to.on_failure(error(code), count)

    def _hold_back(self, dead: Sequence[Accused]) -> None:
        """In an ordered fork the later events of a dead one's group come again behind it."""
        if not dead or not self._to.ordered:
            return
        self.failed_groups |= {one.held.event.group for one in dead}
        behind = [one for one in self.left if one.event.group in self.failed_groups]
        self.left = [one for one in self.left if one.event.group not in self.failed_groups]
        self._to.landing.again(behind, "behind")

    async def _wait(self, error: DeliveryError) -> bool:
        """Back off before the next attempt; False if patience, or the source's, would be over by then."""
        now = anyio.current_time()
        hold_ends = min(one.receive.hold_until for one in self.left) - HOLD_MARGIN
        if isinstance(error, UnavailableError):
            self._failing_since = None  # an outage that someone has to mend costs no patience: the gate waits
            return now < hold_ends
        if self._failing_since is None:
            self._failing_since = now
        seconds = self._backoff.wait(error.retry_after if isinstance(error, TransientError) else None)
        if now + seconds > min(self._failing_since + self._patience(), hold_ends):
            return False
        await anyio.sleep(seconds)
        return True

    def _patience(self) -> float:
        """Seconds of retrying in place. Each probe that fails lengthens the next one's.

        Otherwise a long outage would receive the same few events again and again, until the queue's redrive took
        them for poison.
        """
        patience = self._to.retry.max_elapsed
        if not self._is_probe or self._to.retry.then_dead:
            return patience
        return max(patience, MIN_PROBE_PATIENCE) * 2.0 ** min(self._to.gate.failed_probes, 10)

    def _give_up(self, error: DeliveryError) -> None:
        """These events come again, later each time; if nothing went through at all, the fork receives one at a time."""
        self.failed_groups |= {one.event.group for one in self.left}
        if self._to.gate.succeeded_at < (self._failing_since or 0.0):
            self._to.gate.probe(error.code, failed=self._is_probe)
        if self._to.retry.then_dead and isinstance(error, TransientError):
            self._to.bury([Accused(one, error.code, error.detail) for one in self.left])
        else:
            self._to.landing.again(self.left, error.code)


def _accused(held: Held, failed: dict[Event, Failure]) -> Accused:
    failure = failed[held.event]
    return Accused(held, failure.code, failure.detail)
