"""Patience: how long events that fail are held and tried again, before they go back to their source."""

from __future__ import annotations

import math
from collections.abc import Iterable

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.event import Failure
from forkstream.flow.custody import Held
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.gate import Gate
from forkstream.flow.loop_time import loop_time

HOLD_MARGIN = 180.0
"""Seconds before the source's hold limit at which events are given up, while they can still be shown again in order.

A write that begins by then has had its turn after another's, and may take as long as one usually may.
"""
PROBE_PATIENCE = 12 * 3600.0
"""Seconds for which a probe is retried in place at most, whatever the patience with other events: it stands aside meanwhile.

Given back sooner, a lone event would be received so often in an outage of days that its queue's redrive took it for poison.
"""


def longest_wish(failures: Iterable[Failure]) -> float | None:
    """Seconds after which the destination wants the last of these events again, None if it did not say."""
    return max((failure.retry_after for failure in failures if failure.retry_after is not None), default=None)


class Patience:
    """The patience with some events of one fork, from their first failure on. It ends before the source's own."""

    def __init__(self, gate: Gate, retry: RetryPolicy, held: Iterable[Held]) -> None:
        receives = {one.receive for one in held}
        self._gate = gate
        self._retry = retry
        self._backoff = Backoff()
        self._failing_since: float | None = None
        self.is_probe = any(receive.is_probe for receive in receives)
        """Whether this is the one event in hand."""
        self.safe_until = min((receive.hold_until for receive in receives), default=math.inf) - HOLD_MARGIN
        """Until then at least, no event has to be let go of."""

    def pause(self, error: DeliveryError, held: Iterable[Held]) -> float | None:
        """Seconds to wait before the next try; None if patience, or the source's, would be over by then."""
        now = loop_time()
        hold_ends = self.hold_ends(held)
        if isinstance(error, UnavailableError):
            self._failing_since = None  # an outage that someone has to mend costs no patience: the gate waits
            return 0.0 if now < hold_ends else None
        if self._failing_since is None:
            self._failing_since = now
        seconds = self._backoff.wait(error.retry_after if isinstance(error, TransientError) else None)
        return seconds if now + seconds <= min(self._failing_since + self._seconds(), hold_ends) else None

    def stands_aside(self, error: DeliveryError, *, condemned: bool) -> bool:
        """Tell whether others are received beside these from now on, since they alone don't tell how the destination is.

        A probe that fails says so to the gate, which lets the next one in later.
        """
        if condemned:
            return True  # the gate knows
        if not self.is_probe or isinstance(error, UnavailableError) or not self._gate.troubled:
            return False
        self._gate.probe(error.code)
        return True

    @staticmethod
    def hold_ends(held: Iterable[Held]) -> float:
        """When the first of these has to be let go of: tried any later, another consumer may have it by then."""
        return min([one.receive.hold_until for one in held]) - HOLD_MARGIN

    @property
    def others_go_through(self) -> bool:
        """Whether anything was written since these events began to fail: then it is they, and not the destination."""
        return self._gate.succeeded_at >= (self._failing_since or 0.0)

    def end(self, error: DeliveryError) -> None:
        """The events go back: if nothing went through at all meanwhile, the fork receives one at a time."""
        if not self.others_go_through:
            self._gate.probe(error.code)

    def _seconds(self) -> float:
        return PROBE_PATIENCE if self.is_probe and not self._retry.then_dead else self._retry.max_elapsed
