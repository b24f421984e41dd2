"""Asking a plugin: its answer takes a bounded time, and whatever it raises is one of the kinds of DeliveryError."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from forkstream.errors import WISHES_TO_END, DeliveryError, TransientError, UnavailableError, as_delivery_error

Answer = TypeVar("Answer")


async def ask(call: Callable[[], Awaitable[Answer]], seconds: float) -> Answer:
    """Await a plugin's answer for so many seconds at most; raises DeliveryError and, if it is cancelled itself, that.

    What comes after the time-out doesn't count: a plugin that swallows its cancellation would pass for one that is done.
    """
    error: DeliveryError | None = None
    cancellations = _cancellations()
    with anyio.move_on_after(seconds) as limit:
        try:
            answer = await call()
        except asyncio.CancelledError:
            if _cancellations() > cancellations or anyio.current_effective_deadline() == -math.inf:
                raise
            error = TransientError("cancelled")  # something of the plugin's own was, which ends nobody's task
        except WISHES_TO_END:
            raise
        except BaseException as raised:  # noqa: BLE001  # a plugin's bug must not end the fork
            error = _kind_of(raised)
    if limit.cancel_called:
        raise TransientError("timeout", f"no answer within {seconds:g} s")
    if error:
        raise error
    return answer


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _kind_of(raised: BaseException) -> DeliveryError:
    """Give an exception its kind; in a group, as task groups raise it, the one counts that blames events least."""
    if not isinstance(raised, BaseExceptionGroup):
        return as_delivery_error(raised)
    errors = [_kind_of(each) for each in raised.exceptions]
    return min(
        errors, key=lambda error: (not isinstance(error, UnavailableError), not isinstance(error, TransientError))
    )
