"""A fork that is ready to be opened: its plugins built from a checked config, each knowing where it stands."""

from __future__ import annotations

import msgspec

from forkstream.config.model import ForkSettings
from forkstream.formats import Format
from forkstream.ports import AsyncStage, BatchDefaults, EventSink, EventStage, ObjectSink, ObjectStage, Plugin, Source
from forkstream.settings import Settings


class DeadLetterPlan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where a fork's dead letters go, through a chain of their own."""

    object_stages: list[ObjectStage[Settings]]
    sink: EventSink[Settings] | ObjectSink[Settings]
    max_ratio: float
    include_unsanitised: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One fork, checked and built but not opened: nothing has done any I/O yet."""

    name: str
    settings: ForkSettings
    source: Source[Settings]
    chain: list[EventStage[Settings] | AsyncStage[Settings]]
    format: Format
    """How an object sink's batches become bytes; an event sink has no use for it."""
    object_stages: list[ObjectStage[Settings]]
    sink: EventSink[Settings] | ObjectSink[Settings]
    dead_letter: DeadLetterPlan | None
    steps: list[tuple[str, Plugin[Settings]]]
    """Every plugin in the order in which to open them, with its name within the fork: ``stages[0].sanitize``."""

    @property
    def batch_limits(self) -> BatchDefaults:
        """The limits that close a batch: the config's, and for those left out the sink's."""
        batch, suits = self.settings.batch, self.sink.batch_defaults
        return BatchDefaults(
            max_events=suits.max_events if batch.max_events is None else batch.max_events,
            max_bytes=suits.max_bytes if batch.max_bytes is None else batch.max_bytes,
            max_age=suits.max_age if batch.max_age is None else batch.max_age,
        )

    def step(self, plugin: Plugin[Settings]) -> str:
        """Name a plugin of this plan as logs and dead letters do: ``stages[0].sanitize``, ``sink.s3``."""
        return next(name for name, planned in self.steps if planned is plugin)
