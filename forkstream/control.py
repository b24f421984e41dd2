"""The desired state: which forks are paused and how the switches stand, kept where every task and worker can see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio
import msgspec
import structlog

from forkstream.backoff import spread
from forkstream.errors import DeliveryError, UnavailableError, as_delivery_error
from forkstream.settings import AwsSettings
from forkstream.shared_file import SharedFile


class DesiredState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What operators want: ``{"paused": {"replay": true}, "switches": {"checkout-bug": false}}``.

    A fork that is not named is paused or not as its config says; a switch that is not named has its plugin's default.
    """

    paused: dict[str, bool] = {}
    switches: dict[str, bool] = {}

    def with_paused(self, fork: str, paused: bool) -> DesiredState:
        """The same with one fork paused or running."""
        return msgspec.structs.replace(self, paused={**self.paused, fork: paused})

    def with_switch(self, name: str, on: bool) -> DesiredState:
        """The same with one switch turned."""
        return msgspec.structs.replace(self, switches={**self.switches, name: on})


class Store(Protocol):
    """Where a small document lies that several processes read and change; ``url`` is the place as a config names it."""

    url: str
    interval: float
    """Seconds between two looks at most, so that all who look together stay within the store's limits."""

    async def read(self) -> bytes | None:
        """Read the document, None if there is none; raises one of the three kinds of DeliveryError."""

    async def update(self, edit: Callable[[bytes | None], bytes]) -> None:
        """Change it and keep what others change meanwhile, which may call ``edit`` again; raises as ``read`` does."""


def _log(error: DeliveryError) -> None:
    detail = error.detail if isinstance(error, UnavailableError) else None
    log = structlog.get_logger("forkstream")
    log.warning("desired state unknown: the last one stays", code=error.code, detail=detail)


class Control:
    """The one document that holds the desired state. It survives a restart, and everybody follows it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def url(self) -> str:
        """Where the document lies: ``file:/path`` or ``ssm:/name``."""
        return self._store.url

    async def read(self) -> DesiredState:
        """Tell the desired state; without a document nothing is desired.

        Raises UnavailableError where the document is broken or may not be read, TransientError where it cannot be
        reached this time.
        """
        return self._decoded(await self._store.read())

    async def change(self, edit: Callable[[DesiredState], DesiredState]) -> None:
        """Change the desired state for everyone; ``edit`` is pure, since it may be called again. Raises as ``read`` does.

        A broken document is refused, not replaced: it may say more than this version understands.
        """
        await self._store.update(lambda content: msgspec.json.encode(edit(self._decoded(content))) + b"\n")

    async def follow(
        self, on_change: Callable[[DesiredState], None], on_error: Callable[[DeliveryError], None] = _log
    ) -> None:
        """Call ``on_change`` with the state as it is now, then whenever it is another one; runs until cancelled.

        While it cannot be told the last state stays. ``on_error`` hears of that once, and again if the reason changes.
        """
        known: DesiredState | None = None
        trouble: str | None = None
        while True:
            try:
                state = await self.read()
            except Exception as failure:  # noqa: BLE001  # whatever it is, the forks have to run on
                error = as_delivery_error(failure)
                if error.code != trouble:
                    on_error(error)
                trouble = error.code
            else:
                trouble = None
                if state != known:
                    known = state
                    on_change(state)
            await anyio.sleep(spread(self._store.interval))

    def _decoded(self, content: bytes | None) -> DesiredState:
        if content is None:
            return DesiredState()
        try:
            return msgspec.json.decode(content, type=DesiredState)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnavailableError("control_broken", f"{self.url}: {error}; mend or delete it") from None


def control_of(url: str, aws: AwsSettings) -> Control:
    """Make the control that a config names, ``file:/path`` or ``ssm:/name``; nothing is read yet."""
    kind, _, name = url.partition(":")
    if kind == "ssm":
        from forkstream.aws.parameter import Parameter  # noqa: PLC0415  # AWS's SDK takes longer to import than all the rest

        return Control(Parameter(name, aws))
    return Control(SharedFile(Path(name)))
