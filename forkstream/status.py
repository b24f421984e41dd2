"""What a running service tells about itself: shown by ``/forks``, ``forkstream health`` and the live views."""

from __future__ import annotations

import msgspec


class ForkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One fork as it stands now. ``state`` is open, probing, halted, paused, draining, ended or failed.

    A fork that is ``paused`` may be in trouble too, which ``state`` then names first. ``code`` and ``detail`` tell why it
    isn't open: a stable code, and the permission or resource to mend. Totals
    count since the start of this process; ``in_flight_bytes`` is what these take; ``lag`` is the number of events that
    wait at the source, None while unknown; ``stalled`` says that it neither progresses nor has a reason to wait.

    ``event_age`` is the mean age in seconds, from sending to durable, of the events of the last batch.
    ``budget_events`` and ``budget_bytes`` are what may be in flight. ``pollers`` receive at once, ``concurrency`` writes
    may be under way at once, and ``concurrency_reason`` is a short stable label of why that last changed. Each is None
    where nobody tells: a view shows a dash.
    """

    name: str
    state: str
    paused: bool = False
    code: str | None = None
    detail: str | None = None
    dead_letters: str | None = None
    received: int = 0
    written: int = 0
    retried: int = 0
    dead: int = 0
    dropped: int = 0
    expired: int = 0
    failed: int = 0
    in_flight: int = 0
    in_flight_bytes: int = 0
    open_batches: int = 0
    writing: int = 0
    event_age: float | None = None
    budget_events: int | None = None
    budget_bytes: int | None = None
    pollers: int | None = None
    concurrency: int | None = None
    concurrency_reason: str | None = None
    lag: int | None = None
    last_failure: str | None = None
    stalled: bool = False

    @property
    def standing(self) -> str:
        """The state in words, with the pause that goes on behind it: ``halted, paused``."""
        return f"{self.state}, paused" if self.paused and self.state not in {"paused", "ended"} else self.state


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service. ``healthy`` is False only for what a restart mends; ``ready`` is True while every fork is well.

    ``workers`` tells of each worker process, where there are several, whether it is starting, up, silent or down.
    """

    run: str
    version: str
    healthy: bool
    ready: bool
    draining: bool
    forks: list[ForkStatus]
    switches: dict[str, bool] = {}
    workers: dict[str, str] = {}
