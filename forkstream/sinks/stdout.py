"""A sink that prints: one line an event, for a first look and for shell pipes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Sequence

from forkstream.errors import UnavailableError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink
from forkstream.settings import Settings


class StdoutConfig(Settings):
    """Nothing can be set."""


class StdoutSink(EventSink[StdoutConfig]):
    """Prints each event's body on a line of its own, unbuffered; done means that the pipe or terminal has it.

    Line breaks within a body become spaces, which in JSON can only stand between tokens. When the reader of the
    pipe goes away the fork halts: nothing is lost, and nothing will be read.
    """

    ordered = True
    batch_defaults = BatchDefaults(max_events=1_000, max_bytes=2**20, max_age=0.25)

    def __init__(self, config: StdoutConfig, context: Context) -> None:
        super().__init__(config, context)
        self._turn = threading.Lock()

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        """Print the events; blocks while the pipe is full."""
        lines = memoryview(b"".join(_line(event.body) for event in events))
        with self._turn:  # a batch may take several writes, and another batch's lines must not come between
            try:
                descriptor = sys.stdout.fileno()
                while lines:
                    lines = lines[os.write(descriptor, lines) :]
            # nobody reads, the disk behind a redirection is full, or (ValueError) it is closed on our side
            except (OSError, ValueError) as error:
                raise UnavailableError("stdout_failed", f"standard output takes nothing more: {error}") from None
        return ()


def _line(body: bytes) -> bytes:
    return body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
