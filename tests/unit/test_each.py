"""Work on many things, a bounded number at once."""

from __future__ import annotations

import anyio
import pytest

from forkstream.errors import UnavailableError
from forkstream.sinks.each import each


async def test_everything_is_worked_on_and_no_more_at_once_than_allowed() -> None:
    done: list[int] = []
    under_way, most = 0, 0

    async def work(thing: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.lowlevel.checkpoint()
        under_way -= 1
        done.append(thing)

    await each(work, range(20), at_once=3)
    assert sorted(done) == list(range(20))
    assert most == 3


async def test_nothing_to_do_is_done() -> None:
    async def work(_: int) -> None:
        raise AssertionError

    await each(work, [], at_once=3)


async def test_the_first_error_ends_what_is_under_way_and_comes_out_as_itself() -> None:
    begun: list[int] = []

    async def work(thing: int) -> None:
        begun.append(thing)
        if thing == 1:
            raise UnavailableError("denied")
        await anyio.sleep_forever()

    with pytest.raises(UnavailableError), anyio.fail_after(10):
        await each(work, range(9), at_once=2)
    assert begun == [0, 1]
