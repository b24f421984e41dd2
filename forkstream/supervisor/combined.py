"""The status of several workers as the status of one service."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import msgspec

from forkstream.status import ForkStatus

STATES = ("ended", "starting", "open", "paused", "draining", "probing", "halted", "failed")
"""The states of a fork, the one that most deserves to be told last. A fork that some workers have yet to pause is not
called paused only if something worse can be said of it."""

_SUMS = ("received", "written", "retried", "dead", "dropped", "expired", "failed", "in_flight", "in_flight_bytes",
         "open_batches", "writing")  # fmt: skip


def combined(name: str, forks: Iterable[ForkStatus]) -> ForkStatus:
    """Combine what workers tell of one fork: totals are added up, and of states the worst is told with its reason.

    ``lag`` is each worker's estimate of one and the same queue, so the largest is taken.
    """
    return reduce(_merged, forks, ForkStatus(name=name, state=STATES[0]))


def _merged(one: ForkStatus, other: ForkStatus) -> ForkStatus:
    worse = max(one, other, key=_badness)
    lags = [lag for lag in (one.lag, other.lag) if lag is not None]
    return msgspec.structs.replace(
        worse,
        **{field: getattr(one, field) + getattr(other, field) for field in _SUMS},
        dead_letters=_either(one.dead_letters, other.dead_letters),
        last_failure=_either(one.last_failure, other.last_failure),
        lag=max(lags, default=None),
        stalled=one.stalled or other.stalled,
    )


def _badness(fork: ForkStatus) -> tuple[int, str, str]:
    rank = STATES.index(fork.state) if fork.state in STATES else len(STATES)
    return rank, fork.code or "", fork.detail or ""  # equal states in a fixed order, whoever answered first


def _either(one: str | None, other: str | None) -> str | None:
    return max(one or "", other or "") or None
