from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
import pytest

from forkstream.bounded_threads import BoundedThreads


async def test_a_call_that_is_given_up_as_its_thread_begins_gives_its_place_back_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread has looked whether it is still wanted, and does not know yet that it is not."""
    threads, calls = BoundedThreads(1), list[str]()
    in_thread, late = anyio.to_thread.run_sync, list[Callable[[], object]]()

    async def given_up(work: Callable[[], object], **_: object) -> object:
        late.append(work)
        raise TimeoutError

    monkeypatch.setattr(anyio.to_thread, "run_sync", given_up)
    with pytest.raises(TimeoutError):
        await threads.run(lambda: calls.append("called"))
    await in_thread(late[0])
    assert threads._places.value == 1
    assert not calls
