"""The lifetimes of a fork's plugins: each is opened and closed in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from forkstream.errors import WISHES_TO_END, DeliveryError, TransientError, as_delivery_error
from forkstream.flow.ask import ask
from forkstream.flow.loop_time import loop_time
from forkstream.ports import Plugin
from forkstream.settings import Settings


class Lifetimes:
    """Opens plugins one by one, and closes them together: one that hangs or raises holds up no other.

    A task each, since what a plugin opens may belong to the task that opened it: a task group, a time limit.
    """

    OPEN_SECONDS = 60.0

    def __init__(self, tasks: TaskGroup, on_trouble: Callable[[DeliveryError], None]) -> None:
        self._tasks = tasks
        self._on_trouble = on_trouble
        self._lives: list[_Life] = []

    async def open(self, plugin: Plugin[Settings]) -> None:
        """Enter a plugin; raises DeliveryError if that fails, or takes more than a minute."""
        life = _Life()
        self._tasks.start_soon(life.live, plugin, self._on_trouble)
        try:
            await ask(life.begun.wait, self.OPEN_SECONDS)
        except BaseException:
            life.scope.cancel()
            raise
        if life.stillborn:
            raise life.stillborn
        self._lives.append(life)

    def close(self, seconds: float) -> None:
        """Exit all plugins, within so many seconds; the tasks end when that is done."""
        for life in self._lives:
            life.over.set()
            life.scope.deadline = loop_time() + seconds


class _Life:
    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.over = anyio.Event()
        self.stillborn: DeliveryError | None = None
        self.scope = anyio.CancelScope(shield=True)  # a fork that is cancelled needs its plugins to release its events

    async def live(self, plugin: Plugin[Settings], on_trouble: Callable[[DeliveryError], None]) -> None:
        with self.scope:
            try:
                async with plugin:
                    self.begun.set()
                    await self.over.wait()
            except asyncio.CancelledError:
                # raised on, it would end the fork without a word, which is what a task group makes of it
                self.stillborn = TransientError("cancelled")
            except WISHES_TO_END:
                raise
            except BaseException as raised:  # noqa: BLE001  # a plugin's bug must not end the fork
                if self.begun.is_set():
                    on_trouble(as_delivery_error(raised))
                self.stillborn = as_delivery_error(raised)
            finally:
                self.begun.set()
