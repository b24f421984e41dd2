"""Dead letters for tests, a shelf in memory to keep them on, and a fork to send them through again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio.lowlevel

from forkstream import EventSink, EventStage
from forkstream.dlq.claims import Claims
from forkstream.dlq.entry import Unreadable
from forkstream.dlq.object_store import ObjectStore, _letters
from forkstream.dlq.shelf import Listed, Shelf
from forkstream.flow.batcher import Limits
from forkstream.flow.chain import Step
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.letters import Letter, letter_of
from forkstream.ulid import ulid
from tests.kit import events, memory_source


class MemoryShelf(Shelf):
    """Objects in memory; every operation lets other tasks go first, and ``create`` is atomic, as a store's is."""

    name = "memory"

    def __init__(self) -> None:
        self.start = ""
        self.objects: dict[str, bytes] = {}
        self.stored_at: dict[str, float] = {}

    def put(self, key: str, data: bytes, *, stored_at: float | None = None) -> None:
        self.objects[key] = data
        self.stored_at[key] = time.time() if stored_at is None else stored_at

    def bury(self, letters: Iterable[Letter], *, stored_at: float | None = None) -> str:
        """Write a dead-letter object, as the runtime does."""
        key = f"{ulid()}.ndjson"
        self.put(key, b"".join(letter.encode() + b"\n" for letter in letters), stored_at=stored_at)
        return key

    @property
    def markers(self) -> list[str]:
        """The last parts of the markers' keys, letter by letter."""
        return sorted(key.rpartition("/")[2] for key in self.objects if ".redrive/" in key)

    async def listed(self) -> AsyncIterator[Listed]:
        await anyio.lowlevel.checkpoint()
        for key in list(self.objects):
            yield Listed(key, self.stored_at[key])

    async def get(self, key: str) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self.objects[key]

    async def create(self, key: str, data: bytes) -> bool:
        await anyio.lowlevel.checkpoint()
        if self.objects.get(key, data) != data:
            return False
        self.put(key, data)
        await anyio.lowlevel.checkpoint()  # the answer, which a crash can lose
        return True

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        yield self


def letters(
    count: int, *, step: str = "sink", code: str = "mapping", fork: str = "test", groups: int = 0, start: int = 0
) -> list[Letter]:
    """Letters of the events "0", "1", …, in the order of their ids."""
    made = [
        letter_of(event, fork=fork, step=step, code=code, detail="amount: 450 is no number")
        for event in events(count, groups=groups, start=start)
    ]
    ids = sorted(letter.letter for letter in made)  # those of one millisecond have no order of their own
    return [_named(letter, name) for letter, name in zip(made, ids, strict=True)]


def _named(letter: Letter, name: str) -> Letter:
    return Letter(**{field: getattr(letter, field) for field in letter.__struct_fields__} | {"letter": name})


class ThreadlessStore(ObjectStore):
    """Reads objects where it stands: on a fake clock there are no worker threads."""

    async def _read(self, listed: Listed, fork: str) -> list[Letter | Unreadable]:
        return list(_letters(listed.key, await self._shelf.get(listed.key)))


def store_of(shelf: Shelf, run: str = "run") -> ObjectStore:
    """A store over a shelf, as one run of the command sees it."""
    return ThreadlessStore(shelf, Claims(shelf, run))


def flow_of(
    sink: EventSink[Any],
    stages: Sequence[EventStage[Any]] = (),
    *,
    ordered: bool = False,
    max_events: int = 10,
    retry: RetryPolicy | None = None,
) -> Flow:
    """A fork's flow with these stages, named ``stages[0].scripted`` and so on."""
    return Flow(
        name="test",
        source=memory_source(ordered=ordered),
        steps=[Step(f"stages[{number}].scripted", stage) for number, stage in enumerate(stages)],
        outlet=Outlet(sink=sink, render=Format().render),
        limits=Limits(max_events=max_events, max_bytes=2**20, max_age=60.0),
        retry=retry or RetryPolicy(),
    )
