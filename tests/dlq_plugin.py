"""A plugin file for tests of dead letters: a sink that is particular about amounts, and can die at a given instant."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from forkstream import Event, EventSink, Failure, Settings


class ParticularSettings(Settings):
    """Where lines go."""

    file: str


class Particular(EventSink[ParticularSettings]):
    """Appends a line ``id amount`` for each event; refuses an amount that is no number.

    $INSTANT kills its process before or after the lines are written, or lets it wait there for a file ``go-on``.
    """

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        _at("before")
        failures = []
        with Path(self.config.file).open("a") as file:
            for event in events:
                amount = event.data.get("amount") if isinstance(event.data, dict) else None
                if isinstance(amount, str):
                    failures.append(Failure.permanent(event, "mapping", f"amount: {amount} is no number"))
                else:
                    file.write(f"{event.id} {amount}\n")
        _at("after")
        return failures


def _at(instant: str) -> None:
    wanted = os.environ.get("INSTANT")
    if wanted == instant:
        os.kill(os.getpid(), signal.SIGKILL)
    if wanted == f"wait {instant}":
        Path("waiting").touch()
        while not Path("go-on").exists():
            time.sleep(0.01)
