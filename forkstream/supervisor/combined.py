"""The status of several workers as the status of one service."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TypeVar

import msgspec

from forkstream.status import ForkStatus

N = TypeVar("N", int, float)

STATES = ("ended", "starting", "open", "paused", "draining", "probing", "halted", "failed")
"""The states of a fork, the one that most deserves to be told last. A fork that some workers have yet to pause is not
called paused only if something worse can be said of it."""

_SUMS = ("received", "written", "retried", "dead", "dropped", "expired", "failed", "in_flight", "in_flight_bytes",
         "open_batches", "writing")  # fmt: skip
_SUMS_OF_KNOWN = ("budget_events", "budget_bytes", "pollers", "concurrency")


def combined(name: str, forks: Iterable[ForkStatus]) -> ForkStatus:
    """Combine what workers tell of one fork: totals are added up, and of states the worst is told with its reason.

    ``lag`` is each worker's estimate of one and the same queue, so the largest is taken.
    """
    return reduce(_merged, forks, ForkStatus(name=name, state=STATES[0]))


def _merged(one: ForkStatus, other: ForkStatus) -> ForkStatus:
    worse = max(one, other, key=_badness)
    return msgspec.structs.replace(
        worse,
        **{field: getattr(one, field) + getattr(other, field) for field in _SUMS},
        **{field: _total(getattr(one, field), getattr(other, field)) for field in _SUMS_OF_KNOWN},
        dead_letters=_either(one.dead_letters, other.dead_letters),
        last_failure=_either(one.last_failure, other.last_failure),
        concurrency_reason=_either(one.concurrency_reason, other.concurrency_reason),
        lag=_largest(one.lag, other.lag),
        event_age=_largest(one.event_age, other.event_age),
        stalled=one.stalled or other.stalled,
        paused=_paused(one, other),
    )


def _paused(one: ForkStatus, other: ForkStatus) -> bool:
    """Paused by all that have not ended, if there are any."""
    if one.state == other.state == STATES[0]:
        return one.paused or other.paused
    return all(fork.paused for fork in (one, other) if fork.state != STATES[0])


def _badness(fork: ForkStatus) -> tuple[int, str, str]:
    rank = STATES.index(fork.state) if fork.state in STATES else len(STATES)
    return rank, fork.code or "", fork.detail or ""  # equal states in a fixed order, whoever answered first


def _either(one: str | None, other: str | None) -> str | None:
    return max(one or "", other or "") or None


def _total(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _largest(one: N | None, other: N | None) -> N | None:
    return max((value for value in (one, other) if value is not None), default=None)
