"""The credentials of a session, at hand for every request."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from botocore.credentials import ReadOnlyCredentials

from forkstream.aws.session import AwsSession
from forkstream.errors import DeliveryError

_ASK_SECONDS = 30.0
"""How often the session is asked. It renews credentials 15 minutes before they expire, see botocore.credentials."""


class RenewedCredentials:
    """Gives the session's credentials without a wait; they are renewed beside the requests, before they expire.

    A renewal that fails is tried again half a minute later, and the credentials at hand are used for as long as AWS
    takes them.
    """

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._now: ReadOnlyCredentials | None = None
        self._ask_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find credentials; raises :class:`~forkstream.errors.UnavailableError` where there are none."""
        self._now = await self._session.credentials()
        self._ask_at = time.monotonic() + _ASK_SECONDS

    def current(self) -> ReadOnlyCredentials:
        """Give the credentials to sign a request with."""
        assert self._now is not None  # noqa: S101  # opened before it is used
        if self._asking is None and time.monotonic() >= self._ask_at:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._now

    async def replace(self, refused: ReadOnlyCredentials) -> bool:
        """Ask the session at once, since AWS refused these; tell whether there are others now.

        Raises :class:`~forkstream.errors.UnavailableError` where none can be had.
        """
        if self._now == refused:  # another request has not done it meanwhile
            await self.open()
        return self._now != refused

    def close(self) -> None:
        """End a renewal that is under way."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        try:
            with suppress(DeliveryError):
                self._now = await self._session.credentials()
        finally:
            self._ask_at = time.monotonic() + _ASK_SECONDS
            self._asking = None
