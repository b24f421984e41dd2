"""A fork that is ready to be opened: its plugins built from a checked config, each knowing where it stands."""

from __future__ import annotations

from typing import Any

import msgspec

from forkstream.config.model import ForkSettings
from forkstream.ports import AsyncStage, EventSink, EventStage, ObjectSink, ObjectStage, Plugin, Source


class DeadLetterPlan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where a fork's dead letters go, through a chain of their own."""

    object_stages: list[ObjectStage[Any]]
    sink: EventSink[Any] | ObjectSink[Any]
    max_ratio: float
    include_unsanitised: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One fork, checked and built but not opened: nothing has done any I/O yet."""

    name: str
    settings: ForkSettings
    source: Source[Any]
    chain: list[EventStage[Any] | AsyncStage[Any]]
    object_stages: list[ObjectStage[Any]]
    sink: EventSink[Any] | ObjectSink[Any]
    dead_letter: DeadLetterPlan | None
    steps: list[tuple[str, Plugin[Any]]]
    """Every plugin in the order in which to open them, with its name within the fork: ``stages[0].sanitize``."""

    def step(self, plugin: Plugin[Any]) -> str:
        """Name a plugin of this plan as logs and dead letters do: ``stages[0].sanitize``, ``sink.s3``."""
        return next(name for name, planned in self.steps if planned is plugin)
