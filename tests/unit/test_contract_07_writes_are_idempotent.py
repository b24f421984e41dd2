"""Contract 7: an object's key is fixed and its payload rendered once, before the first attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import anyio
import pytest

from forkstream import Event, ObjectInfo, ObjectSink, ObjectStage, Payload, Settings, TransientError
from forkstream.flow.writers import ObjectWriter
from forkstream.formats import Format
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import CONTEXT, ScriptedObjectSink, events, fork_of, memory_source, running, threads_inline, until


class Puts(ObjectSink[Settings]):
    """Remembers what it was asked to put, and loses the answer to the first attempts."""

    def __init__(self, lose: int) -> None:
        super().__init__(Settings(), CONTEXT)
        self.lose = lose
        self.puts: list[tuple[str, bytes, int]] = []

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        self.puts.append((key, payload.data, attempt))
        if len(self.puts) <= self.lose:
            raise TransientError("connection")


class Numbering(ObjectStage[Settings]):
    """Adds how often it was prepared and how often it ran: a payload rendered twice would differ."""

    suffix = ".n"

    def __init__(self) -> None:
        super().__init__(Settings(), CONTEXT)
        self.prepared: list[ObjectInfo] = []
        self.runs = 0

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        self.prepared.append(about)

        def number(payload: Payload) -> Payload:
            self.runs += 1
            return Payload(payload.data + b"#%d" % self.runs, payload.content_type, payload.metadata)

        return number


async def test_every_attempt_puts_the_same_bytes_under_the_same_key() -> None:
    sink, stage = Puts(lose=3), Numbering()
    writer = ObjectWriter("orders", sink, render=Format().render, suffix=".ndjson", stages=[stage])
    writing = writer.begin("dt=2026-11-23/", events(3))
    for attempt in (1, 2, 3):
        with pytest.raises(TransientError):
            await writing.attempt(attempt)
    assert await writing.attempt(4) == ()
    assert len({(key, data) for key, data, _ in sink.puts}) == 1
    assert [attempt for _, _, attempt in sink.puts] == [1, 2, 3, 4]
    assert stage.runs == 1


async def test_two_objects_never_share_a_key() -> None:
    sink = Puts(lose=0)
    writer = ObjectWriter("orders", sink, render=Format().render, suffix=".ndjson")
    for _ in range(50):
        await writer.begin("p/", events(1)).attempt(1)
    assert len({key for key, _, _ in sink.puts}) == 50


async def test_the_key_has_the_suffix_of_every_stage_and_is_known_to_them() -> None:
    sink, stage = Puts(lose=0), Numbering()
    writer = ObjectWriter("orders", sink, render=Format().render, suffix=".ndjson", stages=[stage])
    await writer.begin("p/", events(2)).attempt(1)
    key = sink.puts[0][0]
    assert key.startswith("p/")
    assert key.endswith(".ndjson.n")
    assert stage.prepared == [ObjectInfo(fork="orders", key=key, events=2)]


async def test_a_failed_rendering_is_tried_anew() -> None:
    sink = Puts(lose=0)
    answers: list[Exception | None] = [TransientError("kms_throttled"), None]

    def render(batch: Sequence[Event]) -> Payload:
        answer = answers.pop(0)
        if answer:
            raise answer
        return Format().render(batch)

    writing = ObjectWriter("orders", sink, render=render, suffix="").begin("", events(1))
    with pytest.raises(TransientError):
        await writing.attempt(1)
    await writing.attempt(2)
    assert len(sink.puts) == 1


def test_a_code_of_a_plugins_own_choosing_changes_no_key() -> None:
    async def main() -> None:
        async def lose(call: int) -> None:
            if call < 4:
                raise TransientError("partial")

        source, sink = memory_source(events(3)), ScriptedObjectSink(lose)
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert len({key for key, _ in sink.puts}) == 1
        assert [attempt for _, attempt in sink.puts] == [1, 2, 3, 4]

    with pytest.MonkeyPatch.context() as patch:
        threads_inline(patch)
        run_on_fake_clock(main)


async def test_a_rendering_that_takes_longer_than_an_attempt_is_not_begun_anew() -> None:
    """On real threads: the attempt that timed out left its thread at work, and the next one waits for that."""
    release, renders = threading.Event(), 0

    def render(batch: Sequence[Event]) -> Payload:
        nonlocal renders
        renders += 1
        assert release.wait(30)
        return Format().render(batch)

    sink = Puts(lose=0)
    writing = ObjectWriter("orders", sink, render=render, suffix="").begin("", events(1))
    with anyio.move_on_after(0.05):
        await writing.attempt(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writing.attempt, 2)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert renders == 1
    assert len(sink.puts) == 1
