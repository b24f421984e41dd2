"""How far one data key goes, and how seldom KMS is asked."""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio
import pytest

from forkstream.aws.data_keys import DataKey, WrappedKey
from forkstream.errors import TransientError
from forkstream.settings import Duration, Size
from forkstream.stages.data_key_cache import DataKeyCache, DataKeyCacheSettings


class Kms:
    """Makes data keys and counts them; ``hold`` keeps the answers back, ``fail`` refuses."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail = False
        self.hold: anyio.Event | None = None

    async def generate(self) -> DataKey:
        self.calls += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.fail:
            raise TransientError("throttled")
        return DataKey(os.urandom(32), WrappedKey("aws-kms", b"key", b"wrapped"))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def cache(
    kms: Kms,
    *,
    messages: int = 1000,
    size: int = 2**30,
    age: float = 300.0,
    clock: Callable[[], float] | None = None,
) -> DataKeyCache:
    limits = DataKeyCacheSettings(messages=messages, bytes=Size(size), age=Duration(age))
    return DataKeyCache(limits, kms.generate, clock or Clock())


async def test_a_key_encrypts_as_many_messages_as_allowed_and_no_more() -> None:
    kms = Kms()
    keys = cache(kms, messages=3)

    taken = [(await keys.take()).key.plaintext for _ in range(7)]

    assert kms.calls == 3
    assert [taken.count(key) for key in dict.fromkeys(taken)] == [3, 3, 1]


async def test_a_key_is_not_handed_out_once_it_has_encrypted_its_bytes() -> None:
    kms = Kms()
    keys = cache(kms, size=100)

    (await keys.take()).count(99)
    (await keys.take()).count(1)
    assert kms.calls == 1
    await keys.take()

    assert kms.calls == 2


async def test_a_key_is_not_handed_out_beyond_its_age() -> None:
    kms, clock = Kms(), Clock()
    keys = cache(kms, age=60, clock=clock)

    await keys.take()
    clock.now += 59.9
    await keys.take()
    assert kms.calls == 1
    clock.now += 0.1
    await keys.take()

    assert kms.calls == 2


async def test_many_objects_at_once_ask_once() -> None:
    kms = Kms()
    kms.hold = anyio.Event()
    keys = cache(kms)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(keys.take)
        await anyio.wait_all_tasks_blocked()
        kms.hold.set()

    assert kms.calls == 1


async def test_a_refusal_reaches_the_object_and_the_next_one_asks_again() -> None:
    kms = Kms()
    kms.fail = True
    keys = cache(kms)

    with pytest.raises(TransientError):
        await keys.take()
    kms.fail = False

    assert (await keys.take()).messages == 1


async def test_an_asker_that_is_cancelled_leaves_the_others_their_turn() -> None:
    kms = Kms()
    kms.hold = anyio.Event()
    keys = cache(kms)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keys.take)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    kms.hold.set()

    assert (await keys.take()).messages == 1


async def test_a_forgotten_key_is_not_handed_out_again() -> None:
    kms = Kms()
    keys = cache(kms)
    first = await keys.take()

    keys.forget()

    assert (await keys.take()).key != first.key


async def test_no_repr_shows_a_data_key() -> None:
    taken = await cache(Kms()).take()

    shown = f"{taken!r} {taken.key!r} {vars(taken)!r}"
    assert repr(taken.key.plaintext)[2:-1] not in shown
    assert taken.key.plaintext.hex() not in shown
