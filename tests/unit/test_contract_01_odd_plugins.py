"""Contract 1: a plugin that answers nonsense, or breaks its port in any other way, loses no event and ends no fork."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Self

import anyio
import pytest

from forkstream import Backlog, Drop, Event, EventSink, Failure, FailureKind, PermanentError, Settings, TransientError
from forkstream.letters import Letter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import (
    CONTEXT,
    ScriptedAsyncStage,
    ScriptedSink,
    ScriptedStage,
    events,
    fork_of,
    memory_source,
    running,
    threads_inline,
    until,
)

NONSENSE: dict[str, Callable[[Event], Any]] = {
    "nothing": lambda _: None,
    "a number": lambda _: 5,
    "text": lambda _: "bad",
    "a list of nothing": lambda _: [None],
    "an event": lambda event: [event],
    "a mapping": lambda event: {event: "bad"},
    "a kind as text": lambda event: [Failure(event, "permanent", "bad")],  # type: ignore[arg-type]
    "a code that is no text": lambda event: [Failure(event, FailureKind.PERMANENT, ["bad"])],  # type: ignore[arg-type]
    "no event": lambda _: [Failure.permanent({}, "bad")],  # type: ignore[arg-type]
    "a foreign event": lambda _: [Failure.permanent(Event(b"{}", id="foreign"), "bad")],
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_a_sink_that_answers_nonsense_is_asked_again(nonsense: Callable[[Event], Any]) -> None:
    class Odd(ScriptedSink):
        async def write(self, events: Sequence[Event]) -> Collection[Failure]:
            if self.calls == 0:
                self.calls += 1
                return nonsense(events[0])  # type: ignore[no-any-return]  # an author's bug
            return await super().write(events)

    async def main() -> None:
        source, sink, letters = memory_source(events(5)), Odd(), ScriptedSink()
        async with running(fork_of(source, sink, dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert sorted(sink.written) == ["0", "1", "2", "3", "4"]
        assert not letters.written

    run_on_fake_clock(main)


@pytest.mark.parametrize("call", ["receive", "delete", "hold"])
@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        5,
        "bad",
        ["bad"],
        [(None, None)],
        [(Event(b"", id="x"), [])],
        [(Event(b"", id="x", attributes={"a": "bad"}), 1)],  # type: ignore[dict-item]
    ],
    ids=str,
)
def test_a_source_that_answers_nonsense_is_asked_again(call: str, nonsense: Any) -> None:
    async def busy(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call < 3:
            raise TransientError("busy")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(5)), ScriptedSink(busy)
        asked = getattr(source, call)
        calls = Counter[str]()

        async def odd(*args: Any, **options: Any) -> Any:
            calls[call] += 1
            return nonsense if calls[call] <= 3 else await asked(*args, **options)

        setattr(source, call, odd)
        async with running(fork_of(source, sink, max_age=100)):
            await until(lambda: not source.waiting)
        assert calls[call] > 3

    run_on_fake_clock(main)


def test_an_answer_that_can_be_read_once_only_is_an_answer() -> None:
    async def main() -> None:
        source, sink = memory_source(events(5)), ScriptedSink()
        receive: Callable[..., Any] = source.receive

        async def once_only(*args: object, **options: object) -> Any:
            return iter(await receive(*args, **options))

        source.receive = once_only  # type: ignore[method-assign]
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting, 60)

    run_on_fake_clock(main)


def _no_backlog() -> object:
    raise KeyError("ApproximateNumberOfMessages")


@pytest.mark.parametrize("estimate", [_no_backlog, lambda: 5, lambda: (1, 2), lambda: Backlog(1, None)])  # type: ignore[arg-type]
def test_a_source_that_cannot_estimate_its_backlog_does_all_the_rest(estimate: Callable[[], Any]) -> None:
    async def main() -> None:
        source, sink = memory_source(), ScriptedSink()
        source.in_flight_limit = 10

        async def broken() -> Any:
            return estimate()

        source.backlog = broken  # type: ignore[method-assign]
        async with running(fork_of(source, sink)):
            await anyio.sleep(100)
            source.put(events(3))
            await until(lambda: not source.waiting)

    run_on_fake_clock(main)


def test_a_sink_that_swallows_its_time_out_has_written_nothing() -> None:
    class Swallowing(ScriptedSink):
        async def write(self, events: Sequence[Event]) -> Collection[Failure]:
            if not self.calls:
                self.calls += 1
                try:
                    await anyio.sleep_forever()
                except BaseException:  # noqa: BLE001  # an author's bug
                    return ()
            return await super().write(events)

    async def main() -> None:
        source, sink = memory_source(events(3)), Swallowing()
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert sorted(sink.written) == ["0", "1", "2"]

    run_on_fake_clock(main)


def test_a_sink_that_takes_events_out_of_its_batch_has_not_written_them() -> None:
    class Emptying(ScriptedSink):
        async def write(self, events: Sequence[Event]) -> Collection[Failure]:
            if self.calls == 0:
                self.calls += 1
                events.clear()  # type: ignore[attr-defined]  # an author's bug
            return await super().write(events)

    async def main() -> None:
        source, sink = memory_source(events(3)), Emptying()
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert sorted(sink.written) == ["0", "1", "2"]

    run_on_fake_clock(main)


@pytest.mark.parametrize("where", ["sink", "letters", "stage", "receive", "delete", "hold", "backlog", "check"])
def test_a_cancellation_of_a_plugins_own_ends_nobodys_task(where: str) -> None:
    calls = Counter[str]()

    def cancelled(here: str) -> None:
        calls[here] += 1
        if here == where and calls[here] <= 4:
            raise asyncio.CancelledError

    async def write(batch: Sequence[Event], call: int) -> Collection[Failure]:
        cancelled("sink")
        if where == "check" and call < 6:
            raise KeyError("halts")
        return [Failure.permanent(event, "bad") for event in batch if event.id == "1"]

    async def bury(batch: Sequence[Event], call: int) -> Collection[Failure]:
        cancelled("letters")
        return ()

    async def enrich(chunk: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        cancelled("stage")
        return {event: event for event in chunk}

    async def main() -> None:
        source, sink = memory_source(events(20)), ScriptedSink(write)
        source.in_flight_limit = 10
        for name in ("receive", "delete", "hold", "backlog"):
            _count(source, name, cancelled)
        _count(sink, "check", cancelled)
        fork = fork_of(source, sink, stages=[ScriptedAsyncStage(enrich)], dead_letters=ScriptedSink(bury), max_age=100)
        async with running(fork, drain_within=100):
            await until(lambda: not source.waiting, 3 * 3600)
            assert not fork.custody.undecided()

    run_on_fake_clock(main)


def test_an_error_out_of_a_task_group_keeps_its_kind() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call < 4:
            raise ExceptionGroup("of tasks", [ExceptionGroup("inner", [KeyError("follows"), TransientError("busy")])])
        return ()

    async def main() -> None:
        source, letters = memory_source(events(1)), ScriptedSink()
        fork = fork_of(source, ScriptedSink(script), dead_letters=letters)
        async with running(fork):
            await until(lambda: not source.waiting)
        assert not letters.written
        assert fork.meter.last_failure == "busy"

    run_on_fake_clock(main)


@pytest.mark.parametrize(
    "detail", [ValueError("no text"), "half a character \ud800", 5], ids=["error", "half", "number"]
)
def test_a_detail_that_is_no_text_still_makes_a_letter(detail: Any) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad", detail) for event in batch]

    async def main() -> None:
        source, letters = memory_source(events(1)), ScriptedSink()
        async with running(fork_of(source, ScriptedSink(script), dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert Letter.decode(letters.events[0].body).code == "bad"

    run_on_fake_clock(main)


def test_a_letter_that_has_no_partition_leaves_its_event_with_the_queue() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "bad") for event in batch if event.id == "1"]

    def nowhere(event: Event) -> str:
        raise PermanentError("no_such_field")

    async def main() -> None:
        source, letters = memory_source(events(5)), ScriptedSink()
        letters.partitions = nowhere
        async with running(fork_of(source, ScriptedSink(script), dead_letters=letters)):
            await until(lambda: len(source.settled) == 4)
            await anyio.sleep(100)
        assert [event.id for event in source.waiting] == ["1"]

    run_on_fake_clock(main)


@pytest.mark.parametrize("partition", [None, 5, ["a"]], ids=str)
def test_a_partition_that_is_no_text_fails_its_event(partition: Any) -> None:
    async def main() -> None:
        source, sink, letters = memory_source(events(5)), ScriptedSink(), ScriptedSink()
        sink.partitions = lambda event: partition if event.id == "1" else ""
        async with running(fork_of(source, sink, dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert Letter.decode(letters.events[0].body).code == "unexpected_TypeError"
        assert sorted(sink.written) == ["0", "2", "3", "4"]

    run_on_fake_clock(main)


def test_what_a_stage_made_unencodable_fails_with_the_chains_input_wherever_it_is_found_out() -> None:
    def fails(event: Event) -> Event:
        raise PermanentError("wrong_shape")

    async def main() -> None:
        source, letters = memory_source(events(3)), ScriptedSink()
        stages = [ScriptedStage(lambda event: event.with_(data={"a": object()})), ScriptedStage(fails)]  # type: ignore[dict-item]
        async with running(fork_of(source, ScriptedSink(), stages=stages, dead_letters=letters)):
            await until(lambda: not source.waiting)
        letter = Letter.decode(letters.events[0].body)
        assert (letter.step, letter.to_event().body) == ("stages[0].scripted", events(1)[0].body)

    run_on_fake_clock(main)


def test_a_plain_write_may_hand_back_something_to_await() -> None:
    class Handing(EventSink[Settings]):
        def write(self, events: Sequence[Event]) -> Awaitable[Collection[Failure]]:
            return inner.write(events)

    inner = ScriptedSink()

    async def main() -> None:
        source = memory_source(events(3))
        async with running(fork_of(source, Handing(Settings(), CONTEXT))):
            await until(lambda: not source.waiting)
        assert len(inner.written) == 3

    with pytest.MonkeyPatch.context() as patch:
        threads_inline(patch)
        run_on_fake_clock(main)


def _count(plugin: object, name: str, cancelled: Callable[[str], None]) -> None:
    call: Callable[..., Awaitable[object]] = getattr(plugin, name)

    async def counted(*args: object, **options: object) -> object:
        await anyio.sleep(0.1)
        cancelled(name)
        return await call(*args, **options)

    setattr(plugin, name, counted)


class _ThrottledError(TransientError):
    """An author's own error, with a constructor of its own."""

    def __init__(self, answer: Mapping[str, Any], limit: int) -> None:
        super().__init__("throttled", retry_after=answer["Retry-After"])
        self.limit = limit


class _BareError(TransientError):
    """An author's own error, which forgets its base's constructor."""

    def __init__(self) -> None:
        pass


class _SpeechlessError(Exception):
    """An author's own error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("where", ["stage", "sink"])
def test_an_error_without_words_ends_no_fork(where: str) -> None:
    def stage(_event: Event) -> Event:
        raise _SpeechlessError

    async def script(batch: Sequence[Event], _call: int) -> Collection[Failure]:
        if "1" in {event.id for event in batch}:
            raise _SpeechlessError
        return ()

    async def main() -> None:
        source, graves = memory_source(events(3)), ScriptedSink()
        sink = ScriptedSink(script if where == "sink" else None)
        stages = [ScriptedStage(stage)] if where == "stage" else []
        async with running(fork_of(source, sink, stages=stages, dead_letters=graves)):
            await until(lambda: not source.waiting, 60)
        assert len(graves.written) == (1 if where == "sink" else 3)

    run_on_fake_clock(main)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("busy", retry_after="5"),  # type: ignore[arg-type]  # a header's text
        TransientError(["busy"]),  # type: ignore[arg-type]  # no text
        _ThrottledError({"Retry-After": "5"}, 3),
        _BareError(),
    ],
)
@pytest.mark.parametrize("where", ["stage", "chunk", "sink"])
def test_an_error_that_says_odd_things_ends_no_fork(where: str, error: TransientError) -> None:
    raised: list[Exception] = []

    def once() -> None:
        if not raised:
            raised.append(error)
            raise error

    def stage(event: Event) -> Event:
        once()
        return event

    async def chunk(chunk: Sequence[Event], _call: int) -> Mapping[Event, Event]:
        once()
        return {event: event for event in chunk}

    async def script(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        once()
        return ()

    stages: dict[str, list[Any]] = {"stage": [ScriptedStage(stage)], "chunk": [ScriptedAsyncStage(chunk)], "sink": []}

    async def main() -> None:
        source, sink = memory_source(events(3)), ScriptedSink(script if where == "sink" else None)
        async with running(fork_of(source, sink, stages=stages[where])):
            await until(lambda: not source.waiting, 60)
        assert sorted(sink.written) == ["0", "1", "2"]

    run_on_fake_clock(main)


@pytest.mark.parametrize("odd", [{"body": "text"}, {"body": 5}, {"attributes": {"kind": "text"}}])
def test_an_event_that_a_stage_made_of_odd_parts_ends_no_fork(odd: dict[str, Any]) -> None:
    def stage(event: Event) -> Event:
        return event.with_(**odd) if event.id == "1" else event

    async def script(batch: Sequence[Event], _call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "no") for event in batch if event.id == "1"]

    async def main() -> None:
        source, sink, graves = memory_source(events(3)), ScriptedSink(script), ScriptedSink()
        async with running(fork_of(source, sink, stages=[ScriptedStage(stage)], dead_letters=graves)):
            await until(lambda: len(sink.written) == 2 and len(source.waiting) < 2, 60)
        assert sorted(sink.written) == ["0", "2"]

    run_on_fake_clock(main)


def test_a_wish_for_ages_does_not_hide_a_stall_for_ages() -> None:
    async def script(_batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call == 1:
            raise TransientError("busy", retry_after=1e9)
        return ()

    async def main() -> None:
        source, sink = memory_source(events(3)), ScriptedSink(script)
        fork = fork_of(source, sink)
        async with running(fork):
            await until(lambda: not source.waiting)
            assert fork.progressed_at < anyio.current_time() + 3600

    run_on_fake_clock(main)


class _Panic(BaseException):
    """What compiled code raises that has met a bug of its own."""


class _Opening(ScriptedSink):
    """A sink that calls ``opening`` when it is opened."""

    opening: Callable[[], None]

    async def __aenter__(self) -> Self:
        self.opening()
        return self


@pytest.mark.parametrize("kind", [_Panic, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["open", "stage", "chunk", "partition", "sink", "letters", "receive", "delete"])
def test_a_plugin_that_panics_exits_or_cancels_itself_ends_neither_its_fork_nor_the_process(
    where: str, kind: type[BaseException]
) -> None:
    calls = Counter[str]()

    def panics(here: str) -> None:
        calls[here] += 1
        if here == where and calls[here] == 1:
            raise kind

    def stage(event: Event) -> Event:
        panics("stage")
        return event

    async def chunk(chunk: Sequence[Event], _call: int) -> Mapping[Event, Event]:
        panics("chunk")
        return {event: event for event in chunk}

    async def write(batch: Sequence[Event], _call: int) -> Collection[Failure]:
        panics("sink")
        return [Failure.permanent(event, "bad") for event in batch if event.id == "1"]

    async def bury(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        panics("letters")
        return ()

    def partition(_event: Event) -> str:
        panics("partition")
        return ""

    async def main() -> None:
        source, sink = memory_source(events(5)), _Opening(write)
        sink.opening = lambda: panics("open")
        sink.partitions = partition
        for name in ("receive", "delete"):
            _count(source, name, panics)
        stages: list[Any] = [ScriptedStage(stage), ScriptedAsyncStage(chunk)]
        async with running(fork_of(source, sink, stages=stages, dead_letters=ScriptedSink(bury))):
            await until(lambda: not source.waiting)
        assert calls[where] > 1

    run_on_fake_clock(main)
