from __future__ import annotations

import anyio
import pytest

from forkstream.aws.concurrently import concurrently
from forkstream.errors import TransientError


@pytest.mark.parametrize("count", [0, 1, 2, 50])
async def test_outcomes_stand_in_the_order_of_the_items(count: int) -> None:
    async def call(item: int) -> int:
        for _ in range(count - item):  # the first end last
            await anyio.lowlevel.checkpoint()
        return item * 2

    assert await concurrently(call, range(count), at_once=50) == [item * 2 for item in range(count)]


@pytest.mark.parametrize("count", [1, 9])
async def test_an_error_is_one_outcome_among_the_others(count: int) -> None:
    async def call(item: int) -> int:
        if item == 0:
            raise TransientError("throttled")
        return item

    first, *others = await concurrently(call, range(count), at_once=3)
    assert isinstance(first, TransientError)
    assert others == list(range(1, count))


async def test_no_more_than_the_bound_are_under_way() -> None:
    under_way = most = 0

    async def call(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.lowlevel.checkpoint()
        under_way -= 1

    await concurrently(call, range(50), at_once=4)
    assert most == 4
