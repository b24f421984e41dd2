"""The probe: while a fork is in trouble, something has to tell when that is over."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from forkstream.errors import DeliveryError
from forkstream.flow.ask import ask
from forkstream.flow.batcher import CloseReason
from forkstream.flow.gate import Gate, State
from forkstream.flow.intake import Intake
from forkstream.ports import Plugin
from forkstream.settings import Settings


class Probe:
    """Sends on at once what a fork in trouble holds; where it holds nothing and is halted, it asks the plugins' checks.

    ``patience`` is how long one check may take, in seconds.
    """

    def __init__(self, gate: Gate, intake: Intake, plugins: Sequence[Plugin[Settings]], patience: float) -> None:
        self._gate = gate
        self._intake = intake
        self._plugins = plugins
        self._patience = patience

    QUIET = 10.0
    """Seconds between two looks while nothing changes."""

    async def run(self) -> None:
        """Look within a second of every change, and now and then, for as long as the fork lives."""
        while True:
            await anyio.sleep(1.0)
            self._intake.make_room()
            if self._gate.troubled and not self._gate.draining:
                self._intake.close_all(CloseReason.PROBE)
                if self._gate.state is State.HALTED:
                    if not self._intake.probing:
                        await self._check()
                    continue
            if not self._intake.lacks_room:
                await self._gate.change(self.QUIET)

    async def _check(self) -> None:
        async with self._gate.turn():
            try:
                for plugin in self._plugins:
                    await ask(plugin.check, self._patience)
            except DeliveryError as error:
                self._gate.halt(error)
            else:
                self._gate.checked()
