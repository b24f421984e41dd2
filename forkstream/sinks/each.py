"""Work on many things, a bounded number at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from forkstream.aws.concurrently import concurrently

T = TypeVar("T")


async def each(work: Callable[[T], Awaitable[None]], things: Sequence[T], *, at_once: int) -> None:
    """Await ``work`` on each of ``things``, ``at_once`` of them at a time, in a fixed number of tasks.

    The first error cancels what is under way and is raised as itself, not in a group: the runtime tells
    the three kinds of failure by their type.
    """
    errors: list[Exception] = []

    async def attempt(thing: T) -> None:
        if errors:
            return
        try:
            await work(thing)
        except Exception as error:  # noqa: BLE001  # raised again below, out of the group
            errors.append(error)
            scope.cancel()

    with anyio.CancelScope() as scope:
        await concurrently(attempt, things, at_once=at_once)
    if errors:
        raise errors[0]
