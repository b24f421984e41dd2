"""Contract 2: transient is retried in place, permanent is about events, unavailable is about the destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import anyio
import pytest
from structlog.testing import capture_logs

from forkstream import Drop, Event, Failure, PermanentError, TransientError, UnavailableError
from forkstream.flow.gate import State
from forkstream.letters import Letter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedAsyncStage, ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until


def test_a_transient_error_is_retried_in_place_with_its_events_held() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call < 8:
            raise TransientError("throttled")
        return ()

    async def main() -> None:
        sink, source = ScriptedSink(script), memory_source(events(10))
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert {event.receive_count for event in sink.events} == {1}, "it was received again instead of held"
        assert sink.calls == 8

    run_on_fake_clock(main)


def test_only_the_transient_part_is_tried_again() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "busy") for event in batch if int(event.id) < 3] if call < 3 else ()

    async def main() -> None:
        sink, source = ScriptedSink(script), memory_source(events(10))
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert [len(batch) for batch in sink.batches] == [10, 3, 3]
        assert Counter(sink.written) == Counter(map(str, range(10)))

    run_on_fake_clock(main)


def test_retry_after_is_obeyed() -> None:
    times: list[float] = []

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        times.append(anyio.current_time())
        if call == 1:
            raise TransientError("throttled", retry_after=42.0)
        return ()

    async def main() -> None:
        source = memory_source(events(1))
        async with running(fork_of(source, ScriptedSink(script))):
            await until(lambda: not source.waiting)
        assert times[1] - times[0] >= 42.0

    run_on_fake_clock(main)


@pytest.mark.parametrize("where", ["sink", "stage"])
def test_the_longest_wish_of_single_events_is_obeyed(where: str) -> None:
    times: list[float] = []

    def failures(batch: Sequence[Event]) -> dict[Event, Failure]:
        times.append(anyio.current_time())
        wishes = {"1": 42.0, "2": 7.0, "3": None} if len(times) == 1 else {}
        return {
            event: Failure.transient(event, "throttled", retry_after=wishes[event.id])
            for event in batch
            if event.id in wishes
        }

    async def write(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return failures(batch).values() if where == "sink" else ()

    async def apply(batch: Sequence[Event], call: int) -> Mapping[Event, Event | Drop | Failure]:
        return {event: event for event in batch} | failures(batch)

    async def main() -> None:
        source = memory_source(events(4))
        stages = [ScriptedAsyncStage(apply)] if where == "stage" else []
        async with running(fork_of(source, ScriptedSink(write), stages=stages)):
            await until(lambda: not source.waiting)
        assert times[1] - times[0] >= 42.0

    run_on_fake_clock(main)


def test_a_plugins_bug_is_logged_as_one_and_not_as_permanent() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call < 10:
            raise KeyError("amount")
        return ()

    async def main() -> None:
        source = memory_source(events(3))
        async with running(fork_of(source, ScriptedSink(script))):
            await until(lambda: not source.waiting)

    with capture_logs() as logs:
        run_on_fake_clock(main)
    failed = {(line["kind"], line["code"]) for line in logs if line["event"] == "failed"}
    assert failed == {("bug", "unexpected_KeyError")}


def test_a_failed_event_becomes_a_letter_with_the_input_of_the_step_that_failed() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "mapping", "field n") for event in batch if event.id == "4"]

    async def main() -> None:
        sink, letters, source = ScriptedSink(script), ScriptedSink(), memory_source(events(10))
        stage = ScriptedStage(lambda event: event.with_(body=b'{"staged":true}'))
        async with running(fork_of(source, sink, stages=[stage], dead_letters=letters, max_dead_ratio=0.5)):
            await until(lambda: not source.waiting)
        letter = Letter.decode(letters.events[0].body)
        assert (letter.id, letter.step, letter.code, letter.detail) == ("4", "sink", "mapping", "field n")
        assert letter.to_event().body == b'{"staged":true}'
        assert len(letters.events) == 1

    run_on_fake_clock(main)


@pytest.mark.unmeasured  # one by one, ten thousand take six times as long measured
@pytest.mark.parametrize("error", [PermanentError("bad"), ZeroDivisionError("a bug")])
def test_one_poison_event_among_ten_thousand_is_bisected_out(error: Exception) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if any(event.id == "7777" for event in batch):
            raise error
        return ()

    async def main() -> None:
        sink, letters, source = ScriptedSink(script), ScriptedSink(), memory_source(events(10_000))
        async with running(fork_of(source, sink, dead_letters=letters, max_events=10_000)):
            await until(lambda: not source.waiting)
        assert Counter(sink.written) == Counter(str(n) for n in range(10_000) if n != 7777), "a neighbour suffered"
        assert [Letter.decode(event.body).id for event in letters.events] == ["7777"]
        assert sink.calls < 2 * 14 + 2 + 10

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_when_both_halves_keep_failing_nobody_is_blamed_and_the_fork_halts() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise KeyError("the plugin is broken")
        return ()

    sink = ScriptedSink(script)

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(500))
        sink.healthy = False
        fork = fork_of(source, sink, dead_letters=letters, max_events=100)
        async with running(fork):
            await until(lambda: fork.gate.state is State.HALTED)
            await anyio.sleep(1800)
            assert not letters.events
            sink.healthy = True
            await until(lambda: not source.waiting)
            assert not fork.gate.troubled
        assert not letters.events

    run_on_fake_clock(main)


def test_a_broken_plugin_on_a_quiet_fork_kills_one_event_at_most() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        raise KeyError("the plugin is broken")

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(50))
        async with running(fork_of(source, ScriptedSink(script), dead_letters=letters, max_events=1)):
            await anyio.sleep(3600)
        assert len(letters.events) <= 1

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_an_unavailable_destination_halts_its_fork_and_burns_no_receives() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise UnavailableError("access_denied", "s3:PutObject on orders")
        return ()

    sink = ScriptedSink(script)

    async def main() -> None:
        source = memory_source(events(300))
        sink.healthy = False
        fork = fork_of(source, sink, max_held_events=100)
        async with running(fork):
            await until(lambda: fork.gate.state is State.HALTED)
            received = fork.meter.received_total
            calls = sink.calls
            await anyio.sleep(2 * 3600)
            assert fork.meter.received_total <= received + fork.intake.MOST_POLLERS * 10, "a halted fork received"
            assert sink.calls - calls < 2 * 3600 / 25, "a halted fork hammered its destination"
            assert fork.gate.trouble is not None
            assert fork.gate.trouble.detail == "s3:PutObject on orders"
            sink.healthy = True
            mended_at = anyio.current_time()
            await until(lambda: not source.waiting)
            assert anyio.current_time() - mended_at < 70
        assert {event.receive_count for event in sink.events} == {1}

    run_on_fake_clock(main)


def test_an_unavailable_source_halts_alone_and_is_asked_again() -> None:
    async def main() -> None:
        source = memory_source(events(5))
        receive, denied = source.receive, True

        async def deny(*args: object, **kwargs: object) -> object:
            if denied:
                raise UnavailableError("queue_missing", "orders")
            return await receive(*args, **kwargs)  # type: ignore[arg-type]

        source.receive = deny  # type: ignore[method-assign,assignment]
        fork = fork_of(source, ScriptedSink())
        async with running(fork):
            await until(lambda: fork.trouble)
            assert fork.trouble is not None
            assert fork.trouble.code == "queue_missing"
            denied = False
            await until(lambda: not source.waiting)
            assert fork.trouble is None

    run_on_fake_clock(main)


def test_too_many_dead_letters_halt_the_fork_instead_of_emptying_the_queue() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(event, "mapping") for event in batch if int(event.id) % 2]

    async def main() -> None:
        letters, source = ScriptedSink(), memory_source(events(1000))
        fork = fork_of(source, ScriptedSink(script), dead_letters=letters, max_events=100)
        async with running(fork):
            await anyio.sleep(50)
            assert fork.gate.trouble is not None
            assert fork.gate.trouble.code == "dead_letter_ratio"
        assert len(letters.events) < 10

    run_on_fake_clock(main)


def test_what_names_an_event_of_another_batch_is_a_bug_of_the_plugin() -> None:
    stranger = Event(b"{}", id="stranger")

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.permanent(stranger, "bad")] if call == 1 else ()

    async def main() -> None:
        source, sink = memory_source(events(4)), ScriptedSink(script)
        async with running(fork_of(source, sink)):
            await until(lambda: not source.waiting)
        assert sink.calls > 1, "nothing that it said of the batch counts"

    run_on_fake_clock(main)
