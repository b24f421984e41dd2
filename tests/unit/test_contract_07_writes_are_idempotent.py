"""Contract 7: an object's key is fixed and its payload rendered once, before the first attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from forkstream import Event, ObjectInfo, ObjectSink, ObjectStage, Payload, Settings, TransientError
from forkstream.flow.writers import ObjectWriter
from forkstream.formats import Format
from tests.kit import CONTEXT, events


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
