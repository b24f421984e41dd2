"""Patience: how long events that fail are held and tried again, before they go back to their source."""

from __future__ import annotations

from collections.abc import Iterable

from forkstream.backoff import Backoff
from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.event import Failure
from forkstream.flow.custody import Held
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.gate import Gate
from forkstream.flow.loop_time import loop_time

HOLD_MARGIN = 60.0
"""Seconds before the source's hold limit at which events are given up, while they can still be shown again in order."""
MIN_PROBE_PATIENCE, MAX_PROBE_PATIENCE = 30.0, 7200.0
"""Seconds for which a probe is retried in place, whatever the patience with other events: at least, and grown at most."""


def longest_wish(failures: Iterable[Failure]) -> float | None:
    """Seconds after which the destination wants the last of these events again, None if it did not say."""
    return max((failure.retry_after for failure in failures if failure.retry_after is not None), default=None)


class Patience:
    """The patience with some events of one fork, from their first failure on. It ends before the source's own."""

    def __init__(self, gate: Gate, retry: RetryPolicy, held: Iterable[Held]) -> None:
        self._gate = gate
        self._retry = retry
        self._backoff = Backoff()
        self._failing_since: float | None = None
        self.is_probe = any(one.is_probe for one in held)
        """Whether this is the one event in hand: refused to the end, it may die, since one at a time empties no queue."""

    def pause(self, error: DeliveryError, held: Iterable[Held]) -> float | None:
        """Seconds to wait before the next try; None if patience, or the source's, would be over by then."""
        now = loop_time()
        hold_ends = min(one.receive.hold_until for one in held) - HOLD_MARGIN
        if isinstance(error, UnavailableError):
            self._failing_since = None  # an outage that someone has to mend costs no patience: the gate waits
            return 0.0 if now < hold_ends else None
        if self._failing_since is None:
            self._failing_since = now
        seconds = self._backoff.wait(error.retry_after if isinstance(error, TransientError) else None)
        return seconds if now + seconds <= min(self._failing_since + self._seconds(), hold_ends) else None

    @property
    def others_go_through(self) -> bool:
        """Whether anything was written since these events began to fail: then it is they, and not the destination."""
        return self._gate.succeeded_at >= (self._failing_since or 0.0)

    def end(self, error: DeliveryError) -> None:
        """The events go back: if nothing went through at all meanwhile, the fork receives one at a time."""
        if not self.others_go_through:
            self._gate.probe(error.code, failed=self.is_probe)

    def _seconds(self) -> float:
        """Seconds of retrying in place. Each probe that fails lengthens the next one's.

        Otherwise a long outage would receive the same few events again and again, until the queue's redrive took
        them for poison.
        """
        patience = self._retry.max_elapsed
        if not self.is_probe or self._retry.then_dead:
            return patience
        grown = max(patience, MIN_PROBE_PATIENCE) * 2.0 ** min(self._gate.failed_probes, 10)
        return max(patience, min(grown, MAX_PROBE_PATIENCE))
