"""Asking a plugin: its answer takes a bounded time, and whatever it raises is one of the kinds of DeliveryError."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import anyio

from forkstream.errors import WISHES_TO_END, DeliveryError, TransientError, UnavailableError, as_delivery_error

Answer = TypeVar("Answer")


async def ask(call: Callable[[], Awaitable[Answer]], seconds: float) -> Answer:
    """Await a plugin's answer for so many seconds at most; raises DeliveryError and, if it is cancelled itself, that.

    What comes after the time-out doesn't count: a plugin that swallows its cancellation would pass for one that is done.
    """
    with TimeLimit() as limit:
        return await limit.ask(call, seconds)
    raise limit.error


class TimeLimit:
    """One time limit for many questions in turn, where they are many: to make one takes 7 µs, to ask within it 0.3.

    It has one timer, which rings once and is put off then, if the question that it was set for has been answered.

    Entered and left in one task. When it is over the block ends, nothing else can be asked, and ``error`` is what came of
    the last question.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = anyio.CancelScope()
        self._seconds = 0.0
        self._ends_at = self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.current_task()

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        return self._scope.__exit__(kind, raised, traceback) or isinstance(raised, _OverError)

    @property
    def error(self) -> TransientError:
        """What a question is answered whose time is over."""
        return TransientError("timeout", f"no answer within {self._seconds:g} s")

    async def ask(self, call: Callable[[], Awaitable[Answer]], seconds: float) -> Answer:
        """As ``ask`` does; ends the block when the time is over."""
        self._seconds = seconds
        error: DeliveryError | None = None
        cancellations = self._cancellations()
        self._ends_at = self._loop.time() + seconds
        if self._ends_at < self._rings_at:
            self._set_timer()
        try:
            answer = await call()
        except asyncio.CancelledError:
            if self._cancellations() > cancellations or anyio.current_effective_deadline() == -math.inf:
                raise
            error = TransientError("cancelled")  # something of the plugin's own was, which ends nobody's task
        except WISHES_TO_END:
            raise
        except BaseException as raised:  # noqa: BLE001  # a plugin's bug must not end the fork
            error = _kind_of(raised)
        if self._scope.cancel_called:
            raise _OverError
        self._ends_at = math.inf
        if error:
            raise error
        return answer

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._ends_at
        self._timer = self._loop.call_at(self._rings_at, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        if self._loop.time() >= self._ends_at:
            self._scope.cancel()
        elif self._ends_at < math.inf:
            self._set_timer()

    def _cancellations(self) -> int:
        return self._task.cancelling() if self._task else 0


class _OverError(Exception):
    """The time is over, although the plugin took no notice."""


def _kind_of(raised: BaseException) -> DeliveryError:
    """Give an exception its kind; in a group, as task groups raise it, the one counts that blames events least."""
    if not isinstance(raised, BaseExceptionGroup):
        return as_delivery_error(raised)
    errors = [_kind_of(each) for each in raised.exceptions]
    return min(
        errors, key=lambda error: (not isinstance(error, UnavailableError), not isinstance(error, TransientError))
    )
