"""An outlet: a sink with all that is between events and it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from forkstream.flow.writers import Render
from forkstream.ports import EventSink, ObjectSink, ObjectStage
from forkstream.settings import Settings


class Outlet(msgspec.Struct, frozen=True, kw_only=True):
    """A sink with all that is between events and it. ``render`` and ``suffix`` matter to object sinks alone."""

    sink: EventSink[Settings] | ObjectSink[Settings]
    render: Render
    suffix: str = ""
    stages: Sequence[ObjectStage[Settings]] = ()


class DeadLetterOutlet(Outlet, frozen=True, kw_only=True):
    """Where the dead go. ``include_unsanitised`` lets in what could not be sanitised, if a stage here encrypts."""

    include_unsanitised: bool = False
