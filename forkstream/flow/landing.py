"""The landing of a fork's events: the one place where each of them gets its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from forkstream.backoff import poison_delay, redelivery_delay
from forkstream.flow.chain import Stopped
from forkstream.flow.custody import Held, Outcome
from forkstream.flow.dead_letters import DeadLetters
from forkstream.flow.destination import Accused
from forkstream.flow.gate import Gate
from forkstream.flow.settlement import Settlement
from forkstream.telemetry import Meter

BEHIND = "behind"
"""Why an event comes again that must not overtake an earlier one of its group."""
SINK = "sink"
"""The step behind the last stage, as a dead letter names it."""


class ForkLanding:
    """Settles events as written, dropped, dead, or to be shown again. Nothing here waits, and nothing fails.

    ``include_unsanitised`` lets letters hold what could not be sanitised.
    """

    def __init__(
        self,
        settlement: Settlement,
        gate: Gate,
        meter: Meter,
        dead_letters: DeadLetters | None,
        *,
        include_unsanitised: bool,
    ) -> None:
        self._settlement = settlement
        self._gate = gate
        self._meter = meter
        self._dead_letters = dead_letters
        self._include_unsanitised = include_unsanitised

    def written(self, held: Sequence[Held]) -> None:
        """These are durable."""
        self._settlement.delete(held, Outcome.DONE)
        self._meter.written([one.event.sent_at for one in held], time.time())

    def dropped(self, held: Sequence[Held], reason: str) -> None:
        """A stage decided that these end here."""
        self._settlement.delete(held, Outcome.DROPPED)
        self._gate.settled(len(held))
        self._meter.dropped(reason, len(held))

    def dead(self, accused: Sequence[Accused]) -> None:
        """The sink will never take these."""
        self._bury(accused, SINK)

    def condemned(self, stopped: Stopped) -> None:
        """A stage will never take this one. What is not sanitised is written down only where that is wanted."""
        accused = Accused(stopped.held, stopped.error.code, stopped.error.detail)
        if stopped.sanitised or self._include_unsanitised:
            self._bury([accused], stopped.step)
        else:
            self._leave_to_redrive([stopped.held])

    def again(self, held: Sequence[Held], code: str) -> None:
        """These may go through another time: each comes again, later with each receive."""
        delay = poison_delay if code == BEHIND else redelivery_delay  # it comes only after the one before it
        self._show_again(held, delay)

    def release(self, held: Sequence[Held], *, after: float = 0.0) -> None:
        """The fork doesn't want these now, or they stand behind another one of their group: they come again soon.

        In a drain they are left to its end: a poll under way would only receive them again, and burn their receives.
        """
        if not self._gate.draining:
            self._settlement.show_again(held, lambda _: after)

    def _bury(self, accused: Sequence[Accused], step: str) -> None:
        if self._dead_letters:
            self._dead_letters.bury(accused, step)
        else:
            self._leave_to_redrive([one.held for one in accused])

    def _leave_to_redrive(self, held: Sequence[Held]) -> None:
        """The queue's own redrive takes these, after some receives more."""
        self._show_again(held, poison_delay)

    def _show_again(self, held: Sequence[Held], delay: Callable[[int], float]) -> None:
        self._settlement.show_again(held, lambda one: delay(one.receives))
