"""One call, repeated while it fails for a passing reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from forkstream.backoff import Backoff
from forkstream.errors import TransientError

R = TypeVar("R")

PATIENCE = 60.0
"""Seconds after which a passing failure is one that lasts."""


async def patiently(call: Callable[[], Awaitable[R]]) -> R:
    """Call until it does not raise TransientError, with back-off; after a minute of that, the error stands."""
    backoff, give_up = Backoff(), anyio.current_time() + PATIENCE
    while True:
        try:
            return await call()
        except TransientError as error:
            wait = backoff.wait(error.retry_after)
            if anyio.current_time() + wait > give_up:
                raise
        await anyio.sleep(wait)
