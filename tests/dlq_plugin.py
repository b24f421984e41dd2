"""A plugin file for tests of dead letters: a sink that is particular about amounts, and can die at a given instant."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from forkstream import Event, EventSink, Failure, Settings


class ParticularSettings(Settings):
    """Where lines go."""

    file: str


class Particular(EventSink[ParticularSettings]):
    """Appends a line ``id amount`` for each event; refuses an amount that is no number.

    $DIE=before or after kills its process there, before or after the lines are written.
    """

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        _die("before")
        failures = []
        with Path(self.config.file).open("a") as file:
            for event in events:
                amount = event.data.get("amount") if isinstance(event.data, dict) else None
                if isinstance(amount, str):
                    failures.append(Failure.permanent(event, "mapping", f"amount: {amount} is no number"))
                else:
                    file.write(f"{event.id} {amount}\n")
        _die("after")
        return failures


def _die(instant: str) -> None:
    if os.environ.get("DIE") == instant:
        os.kill(os.getpid(), signal.SIGKILL)
