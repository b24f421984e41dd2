"""Contract 4: what can't be sanitised goes nowhere, least of all into a dead letter that anybody may read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from forkstream import Drop, Event, Failure, PermanentError
from forkstream.flow.destination import RetryPolicy
from forkstream.letters import Letter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until

CARD = "4111111111111111"


def fails(event: Event) -> Event:
    if event.id == "3":
        raise PermanentError("wrong_shape", f"payment is the list [{CARD}]")
    return event


def passes(event: Event) -> Event:
    return event


def planted(number: int) -> Event:
    return Event(f'{{"card":"{CARD}"}}'.encode(), id=str(number))


@pytest.mark.parametrize("failing", [0, 1])
def test_what_fails_at_or_before_sanitising_stays_with_the_queue(failing: int) -> None:
    """The second of two stages sanitises: an event that the first one fails is just as unsanitised."""

    async def main() -> None:
        source, sink, letters = memory_source(events(3)), ScriptedSink(), ScriptedSink()
        source.put([planted(3)])
        stages = [ScriptedStage(passes), ScriptedStage(passes, sanitizes=True)]
        stages[failing].script = fails
        with capture_logs() as logs:
            async with running(fork_of(source, sink, stages=stages, dead_letters=letters)):
                await until(lambda: len(source.settled) == 3)
                await anyio.sleep(600)
        assert [event.id for event in source.waiting] == ["3"]
        assert "3" not in sink.written
        assert not letters.events
        assert CARD not in repr(logs)
        assert any(line["code"] == "wrong_shape" for line in logs)

    run_on_fake_clock(main)


def test_with_include_unsanitised_its_letter_is_written() -> None:
    async def main() -> None:
        source, sink, letters = memory_source([planted(3)]), ScriptedSink(), ScriptedSink()
        stages = [ScriptedStage(fails, sanitizes=True)]
        async with running(fork_of(source, sink, stages=stages, dead_letters=letters, include_unsanitised=True)):
            await until(lambda: not source.waiting)
        letter = Letter.decode(letters.events[0].body)
        assert letter.step == "stages[0].scripted"
        assert letter.to_event().body == planted(3).body
        assert not sink.written

    run_on_fake_clock(main)


def test_what_fails_behind_sanitising_is_written_as_it_was_there() -> None:
    def sanitise(event: Event) -> Event:
        return event.with_(body=b'{"clean":true}')

    async def main() -> None:
        source, sink, letters = memory_source([planted(3)]), ScriptedSink(), ScriptedSink()
        stages = [ScriptedStage(sanitise, sanitizes=True), ScriptedStage(fails)]
        async with running(fork_of(source, sink, stages=stages, dead_letters=letters)):
            await until(lambda: not source.waiting)
        letter = Letter.decode(letters.events[0].body)
        assert letter.to_event().body == b'{"clean":true}'
        assert CARD not in repr(letter.body)

    run_on_fake_clock(main)


@pytest.mark.parametrize("answer", [None, 7, "event"])
def test_a_stage_that_returns_no_event_is_a_bug_and_never_a_drop(answer: object) -> None:
    async def main() -> None:
        source, sink, letters = memory_source(events(1)), ScriptedSink(), ScriptedSink()
        stage = ScriptedStage(lambda _: answer)  # type: ignore[arg-type,return-value]  # an author's bug
        async with running(fork_of(source, sink, stages=[stage], dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert Letter.decode(letters.events[0].body).code == "stage_returned_nothing"
        assert not sink.written

    run_on_fake_clock(main)


def test_a_drop_is_counted_and_deleted() -> None:
    async def main() -> None:
        source, sink = memory_source(events(4)), ScriptedSink()
        stage = ScriptedStage(lambda event: Drop("even") if int(event.id) % 2 == 0 else event)
        async with running(fork_of(source, sink, stages=[stage])):
            await until(lambda: not source.waiting)
        assert sink.written == ["1", "3"]

    run_on_fake_clock(main)


def test_what_a_stage_made_unencodable_fails_with_the_input_of_the_chain() -> None:
    async def main() -> None:
        source, sink, letters = memory_source(events(1)), ScriptedSink(), ScriptedSink()
        stage = ScriptedStage(lambda event: event.with_(data={"when": object()}))  # type: ignore[dict-item]
        async with running(fork_of(source, sink, stages=[stage], dead_letters=letters)):
            await until(lambda: not source.waiting)
        assert Letter.decode(letters.events[0].body).to_event().body == events(1)[0].body

    run_on_fake_clock(main)


def test_partitions_are_computed_after_the_last_event_stage() -> None:
    async def main() -> None:
        source, sink = memory_source([planted(1)]), ScriptedSink()
        seen: list[bytes] = []

        def partition(event: Event) -> str:
            seen.append(event.body)
            return ""

        sink.partitions = partition
        stage = ScriptedStage(lambda event: event.with_(body=b'{"clean":true}'), sanitizes=True)
        async with running(fork_of(source, sink, stages=[stage])):
            await until(lambda: not source.waiting)
        assert seen == [b'{"clean":true}']

    run_on_fake_clock(main)


@pytest.mark.unmeasured
def test_codes_and_reasons_of_values_become_neither_labels_nor_log_lines() -> None:
    """A plugin that makes its codes of an event's values would show them to everybody, and fill the memory with them."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if call > 300:
            return ()
        return [Failure.transient(event, f"card <{CARD}{call}>" if call % 2 else f"code_{call}") for event in batch]

    async def main() -> None:
        source = memory_source(events(500))
        stage = ScriptedStage(lambda event: Drop(f"small_{event.id}") if int(event.id) else event)
        fork = fork_of(source, ScriptedSink(script), stages=[stage], retry=RetryPolicy(max_elapsed=7200))
        async with running(fork, drain_within=1):
            await until(lambda: not source.waiting, 72000)
        metrics = generate_latest(fork.meter._metrics.registry).decode()
        assert CARD not in metrics
        assert "small_7" in metrics
        assert "code_2" in metrics
        assert 'code="malformed"' in metrics
        assert 'code="other"' in metrics
        assert metrics.count("forkstream_failures_total{") <= 102
        assert metrics.count("forkstream_dropped_total{") <= 102

    with capture_logs() as logs:
        run_on_fake_clock(main)
    assert CARD not in repr(logs)
