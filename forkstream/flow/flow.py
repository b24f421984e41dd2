"""All that a fork is made of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from forkstream.flow.batch_sizes import Tuning
from forkstream.flow.batcher import Limits
from forkstream.flow.chain import Step
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.lender import Lender
from forkstream.flow.outlet import DeadLetterOutlet, Outlet
from forkstream.ports import Plugin, Source
from forkstream.settings import Settings

MAX_DEAD_RATIO = 0.1
"""The share of dead events, of a minute or of the last hundred, beyond which a fork doubts itself, where the config says nothing."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """All that a fork is made of. ``max_dead_ratio`` is the share of dead events beyond which it doubts itself."""

    name: str
    source: Source[Settings]
    steps: Sequence[Step] = ()
    outlet: Outlet
    dead_letters: DeadLetterOutlet | None = None
    limits: Limits
    tuning: Tuning = Tuning()
    retry: RetryPolicy = RetryPolicy()
    concurrency: int | None = None
    """Writes under way at once; None finds it."""
    max_held_events: int = 20_000
    max_held_bytes: int = 64 * 2**20
    lender: Lender | None = None
    """Whoever divides a memory among the forks; ``max_held_bytes`` is then this one's share."""
    max_dead_ratio: float = MAX_DEAD_RATIO
    paused: bool = False
    poll_wait: float = 20.0

    @property
    def plugins(self) -> list[Plugin[Settings]]:
        """Every plugin, the source last: it is opened when all that follows it is, and closed first."""
        outlets = [self.outlet, self.dead_letters] if self.dead_letters else [self.outlet]
        inner: list[Plugin[Settings]] = [plugin for outlet in outlets for plugin in (outlet.sink, *outlet.stages)]
        return [*inner, *(step.stage for step in self.steps), self.source]
