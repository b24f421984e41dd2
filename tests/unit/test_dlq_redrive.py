"""A redrive: letters enter at the step that failed, and what fails again stays a letter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import anyio
import pytest

from forkstream import Drop, Event, Failure, PermanentError, TransientError, UnavailableError
from forkstream.dlq.entry import Entry
from forkstream.dlq.mending import mended
from forkstream.dlq.redrive import CHUNK, Redrive
from forkstream.dlq.report import Outcome
from forkstream.dlq.selection import Selection
from forkstream.dlq.standing import State
from forkstream.errors import CommandError
from forkstream.event import Attribute, Target
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.flow import Flow
from forkstream.letters import Letter, letter_of
from forkstream.testing.clock import run_on_fake_clock
from tests.dlq_kit import MemoryShelf, flow_of, letters, store_of
from tests.kit import ScriptedSink, ScriptedStage

EVERYTHING = Selection(fork="test")


def through(
    flow: Flow,
    *dead: Letter,
    dry_run: bool = False,
    shelf: MemoryShelf | None = None,
    took: list[float] | None = None,
    **how: Any,
) -> Redrive:
    """Redrive these letters, an object of them all, and hand back the redrive that is over; ``took`` gets its seconds."""

    async def scenario() -> Redrive:
        lying = shelf or MemoryShelf()
        if dead:
            lying.bury(dead)
        redrive = Redrive(flow, store_of(lying), **how)
        await (redrive.look if dry_run else redrive.run)(EVERYTHING)
        if took is not None:
            took.append(anyio.current_time())
        return redrive

    return run_on_fake_clock(scenario)


def outcomes(redrive: Redrive) -> dict[str, tuple[Outcome, str]]:
    return {result.id: (result.outcome, result.code) for result in redrive.report.results}


def standing(shelf: MemoryShelf) -> dict[str, State]:
    async def look() -> dict[str, State]:
        return {
            one.letter.id: one.standing.state
            async for one in store_of(shelf).find(EVERYTHING)
            if isinstance(one, Entry)
        }

    return run_on_fake_clock(look)


def failing(kind: Any, ids: Collection[str] | None = None, code: str = "mapping") -> ScriptedSink:
    """A sink that fails these events, or all."""

    async def script(events: Sequence[Event], _call: int) -> Collection[Failure]:
        return [kind(event, code, "its detail") for event in events if ids is None or event.id in ids]

    return ScriptedSink(script)


def noting(name: str) -> ScriptedStage:
    """A stage that appends its name to the body."""
    return ScriptedStage(lambda event: event.with_(body=event.body + name.encode()))


def test_a_letter_enters_at_the_step_that_failed() -> None:
    sink = ScriptedSink()
    stages = [noting(" a"), noting(" b"), noting(" c")]
    dead = [
        *letters(1, step="stages[0].scripted"), *letters(1, start=1, step="stages[2].scripted"), *letters(1, start=2),
    ]  # fmt: skip
    redrive = through(flow_of(sink, stages), *dead)
    assert {event.id: event.body.split()[1:] for event in sink.events} == {
        "0": [b"a", b"b", b"c"],
        "1": [b"c"],
        "2": [],
    }
    assert redrive.report.good


def test_the_event_is_as_it_was_when_it_failed() -> None:
    event = Event(
        b"\xff\x00", id="origin", sent_at=12.5, group="g", target=Target("orders", "15311", 7, "r"),
        attributes={"amount": Attribute("Number", "1"), "picture": Attribute("Binary.png", b"\x00")}, receive_count=3,
    )  # fmt: skip
    sink = ScriptedSink()
    through(flow_of(sink), letter_of(event, fork="test", step="sink", code="x", detail=""))
    (sent,) = sink.events
    for field in ("body", "id", "sent_at", "group", "target", "attributes", "receive_count"):
        assert getattr(sent, field) == getattr(event, field)


def test_what_fails_again_stays_a_letter_and_takes_no_neighbour_along() -> None:
    shelf, sink = MemoryShelf(), failing(Failure.permanent, ["3", "7"])
    redrive = through(flow_of(sink), *letters(10), shelf=shelf)
    assert sorted(sink.written) == ["0", "1", "2", "4", "5", "6", "8", "9"]
    assert outcomes(redrive)["3"] == (Outcome.FAILED, "mapping")
    assert not redrive.report.good
    assert standing(shelf)["3"] is State.FAILED
    mended_sink = ScriptedSink()
    assert through(flow_of(mended_sink), shelf=shelf).report.good
    assert sorted(mended_sink.written) == ["3", "7"]


@pytest.mark.parametrize("error", [PermanentError("not_json", "its detail"), RuntimeError("a bug")])
def test_a_batch_that_fails_as_a_whole_is_halved_until_each_letter_has_failed_alone_without_a_pause(
    error: Exception,
) -> None:
    async def script(events: Sequence[Event], _call: int) -> Collection[Failure]:
        if any(event.id != "5" for event in events):
            raise error
        return ()

    sink = ScriptedSink(script)
    took: list[float] = []
    redrive = through(flow_of(sink, max_events=20), *letters(20), took=took)
    assert took == [0.0]
    assert sink.written == ["5"]
    assert sorted(result.id for result in redrive.report.results if result.outcome is Outcome.FAILED) == sorted(
        str(number) for number in range(20) if number != 5
    )
    assert not redrive.report.trouble


def test_a_passing_failure_is_tried_again_in_place() -> None:
    async def script(events: Sequence[Event], call: int) -> Collection[Failure]:
        if call < 5:
            raise TransientError("throttled")
        return ()

    sink = ScriptedSink(script)
    redrive = through(flow_of(sink), *letters(3))
    assert (sorted(sink.written), redrive.report.good, sink.calls) == (["0", "1", "2"], True, 5)
    assert redrive.report.last_failure == "throttled"


def test_an_outage_that_lasts_ends_the_redrive_and_what_is_left_stays_untouched() -> None:
    async def script(_events: Sequence[Event], _call: int) -> Collection[Failure]:
        raise TransientError("connection")

    shelf = MemoryShelf()
    flow = flow_of(ScriptedSink(script), max_events=2, ordered=True, retry=RetryPolicy(max_elapsed=5.0))
    redrive = through(flow, *letters(6), shelf=shelf)
    assert redrive.report.trouble == "connection"
    assert redrive.report.counts == {Outcome.FAILED: 2, Outcome.UNTRIED: 4}
    assert list(standing(shelf).values()).count(State.WAITING) == 4
    assert through(flow_of(ScriptedSink()), shelf=shelf).report.good


def test_what_somebody_has_to_mend_ends_the_redrive_at_once_and_says_what_it_is() -> None:
    async def script(_events: Sequence[Event], _call: int) -> Collection[Failure]:
        raise UnavailableError("denied", "es:ESHttpPost on search")

    shelf, sink = MemoryShelf(), ScriptedSink(script)
    redrive = through(flow_of(sink, max_events=2, ordered=True), *letters(6), shelf=shelf)
    assert redrive.report.trouble == "denied (es:ESHttpPost on search)"
    assert sink.calls == 1
    assert redrive.report.counts == {Outcome.FAILED: 2, Outcome.UNTRIED: 4}
    assert State.INTERRUPTED not in standing(shelf).values()


def test_what_a_stage_drops_now_is_dropped_for_good() -> None:
    shelf, sink = MemoryShelf(), ScriptedSink()
    stage = ScriptedStage(lambda event: Drop("too small") if event.id == "1" else event)
    redrive = through(flow_of(sink, [stage]), *letters(3, step="stages[0].scripted"), shelf=shelf)
    assert outcomes(redrive)["1"] == (Outcome.DROPPED, "too small")
    assert redrive.report.good
    assert standing(shelf)["1"] is State.DROPPED
    assert outcomes(through(flow_of(sink), shelf=shelf))["1"] == (Outcome.ALREADY, "too_small")
    assert sorted(sink.written) == ["0", "2"]


def test_what_a_stage_refuses_again_was_never_sent_and_needs_no_claim() -> None:
    def refuse(_event: Event) -> Event:
        raise PermanentError("no_customer", "its detail")

    shelf, sink = MemoryShelf(), ScriptedSink()
    redrive = through(flow_of(sink, [ScriptedStage(refuse)]), *letters(2, step="stages[0].scripted"), shelf=shelf)
    assert outcomes(redrive) == {"0": (Outcome.FAILED, "no_customer"), "1": (Outcome.FAILED, "no_customer")}
    assert (sink.calls, shelf.markers) == (0, [])


def test_a_step_that_the_config_no_longer_has_is_said_and_not_guessed() -> None:
    sink = ScriptedSink()
    redrive = through(flow_of(sink, [noting(" a")]), *letters(1, step="stages[1].index"), *letters(1, start=1))
    assert outcomes(redrive) == {"0": (Outcome.UNTRIED, "step_gone"), "1": (Outcome.SENT, "")}
    (gone,) = [result for result in redrive.report.results if result.code]
    assert gone.detail == "the config has no such step; it has stages[0].scripted, sink"


def test_an_event_that_has_no_place_at_the_sink_stays_alone() -> None:
    def partition(event: Event) -> str:
        if event.id == "1":
            raise PermanentError("not_json")
        return "p"

    sink = ScriptedSink()
    sink.partitions = partition
    redrive = through(flow_of(sink), *letters(3))
    assert outcomes(redrive)["1"] == (Outcome.FAILED, "not_json")
    assert sorted(sink.written) == ["0", "2"]


def test_batches_keep_to_the_forks_limits_and_partitions() -> None:
    sink = ScriptedSink()
    sink.partitions = lambda event: str(int(event.id) % 2)
    through(flow_of(sink, max_events=3), *letters(10))
    assert sorted(len(batch) for batch in sink.batches) == [2, 2, 3, 3]
    assert all(len({int(name) % 2 for name in batch}) == 1 for batch in sink.batches)


def test_in_an_ordered_fork_letters_of_a_group_go_in_order_and_wait_behind_one_that_fails() -> None:
    sink = failing(Failure.permanent, ["2"])
    redrive = through(flow_of(sink, ordered=True, max_events=100), *letters(9, groups=3))
    for group in range(3):
        written = [int(name) for name in sink.written if int(name) % 3 == group]
        assert written == sorted(written)
    failed = {name for name, (outcome, _) in outcomes(redrive).items() if outcome is Outcome.FAILED}
    assert "2" in failed


@pytest.mark.parametrize("where", ["stage", "sink"])
def test_in_an_ordered_fork_no_batch_overtakes_a_letter_of_another_that_fails(where: str) -> None:
    def refuse(event: Event) -> Event:
        if event.id == "2":
            raise PermanentError("mapping")
        return event

    sink = failing(Failure.permanent, ["2"]) if where == "sink" else ScriptedSink()
    stages = [ScriptedStage(refuse)] if where == "stage" else []
    step = "stages[0].scripted" if where == "stage" else "sink"
    redrive = through(flow_of(sink, stages, ordered=True, max_events=1), *letters(9, groups=3, step=step))
    assert sink.written == ["0", "1", "3", "4", "6", "7"]
    assert outcomes(redrive)["2"] == (Outcome.FAILED, "mapping")
    assert outcomes(redrive)["5"] == outcomes(redrive)["8"] == (Outcome.UNTRIED, "behind")


def test_more_letters_than_one_chunk_go_all() -> None:
    sink = ScriptedSink()
    redrive = through(flow_of(sink, max_events=10_000), *letters(CHUNK * 2 + 7))
    assert len(sink.written) == len(set(sink.written)) == CHUNK * 2 + 7
    assert max(map(len, sink.batches)) == CHUNK
    assert redrive.report.good


def test_a_dry_run_says_what_would_be_sent_and_leaves_nothing_behind() -> None:
    shelf, sink = MemoryShelf(), ScriptedSink()
    through(flow_of(sink), *letters(1), shelf=shelf)
    before = dict(shelf.objects)
    redrive = through(flow_of(sink), *letters(2, start=1), *letters(1, start=3, step="gone"), shelf=shelf, dry_run=True)
    assert outcomes(redrive) == {
        "0": (Outcome.ALREADY, ""),
        "1": (Outcome.WOULD_SEND, ""),
        "2": (Outcome.WOULD_SEND, ""),
        "3": (Outcome.UNTRIED, "step_gone"),
    }
    assert sink.written == ["0"]
    assert len(shelf.objects) == len(before) + 1  # the object of the letters themselves


def test_told_to_stop_it_ends_what_is_under_way_and_begins_nothing_more() -> None:
    redrive: Redrive

    async def script(_events: Sequence[Event], _call: int) -> Collection[Failure]:
        redrive.stop()
        return ()

    async def scenario() -> None:
        nonlocal redrive
        shelf, sink = MemoryShelf(), ScriptedSink(script)
        shelf.bury(letters(6))
        redrive = Redrive(flow_of(sink, ordered=True, max_events=2), store_of(shelf))
        await redrive.run(EVERYTHING)
        assert len(sink.written) == 2
        assert redrive.report.counts == {Outcome.SENT: 2, Outcome.UNTRIED: 4}

    run_on_fake_clock(scenario)


def test_a_mended_body_goes_in_at_the_step_that_failed() -> None:
    shelf, sink = MemoryShelf(), ScriptedSink()
    redrive = through(
        flow_of(sink, [noting("")]),
        *letters(1, step="stages[0].scripted"),
        shelf=shelf,
        mend=lambda letter: mended(letter, b'{"amount":450.00}'),
    )
    (event,) = sink.events
    assert (event.body, event.id) == (b'{"amount":450.00}', "0")
    assert redrive.report.good
    assert shelf.markers[-1].endswith(".1.sent.mended")


def test_a_mended_body_that_is_no_json_where_the_old_one_was_is_refused() -> None:
    (letter,) = letters(1)
    with pytest.raises(CommandError, match="the mended body is not JSON: JSON is malformed"):
        mended(letter, b'{"amount":}')
    text = letter_of(Event(b"plain", id="m"), fork="test", step="sink", code="x", detail="")
    assert mended(text, b"plainer").to_event().body == b"plainer"
    assert mended(text, b"\xff").to_event().body == b"\xff"


def test_a_note_that_cannot_be_written_is_said_and_the_letter_is_in_doubt() -> None:
    class FullShelf(MemoryShelf):
        async def create(self, key: str, data: bytes) -> bool:
            if key.endswith(".sent"):
                raise UnavailableError("disk_full", "writing below /dead")
            return await super().create(key, data)

    shelf = FullShelf()
    redrive = through(flow_of(ScriptedSink()), *letters(1), shelf=shelf)
    assert outcomes(redrive) == {"0": (Outcome.UNNOTED, "")}
    assert not redrive.report.good
    assert standing(shelf) == {"0": State.INTERRUPTED}


def test_without_a_claim_nothing_is_sent() -> None:
    class ReadOnlyShelf(MemoryShelf):
        async def create(self, key: str, data: bytes) -> bool:
            raise UnavailableError("denied", "s3:PutObject on dead-letters")

    sink = ScriptedSink()
    redrive = through(flow_of(sink), *letters(3), shelf=ReadOnlyShelf())
    assert not sink.calls
    assert redrive.report.trouble == "denied (s3:PutObject on dead-letters)"


def test_a_claim_whose_answer_was_lost_is_still_ones_own() -> None:
    class LossyShelf(MemoryShelf):
        lost = 0

        async def create(self, key: str, data: bytes) -> bool:
            created = await super().create(key, data)
            if self.lost < 3:
                self.lost += 1
                raise TransientError("connection")
            return created

    sink = ScriptedSink()
    assert through(flow_of(sink), *letters(2), shelf=LossyShelf()).report.good
    assert sorted(sink.written) == ["0", "1"]


def test_plugins_are_opened_and_closed_once_and_one_that_cannot_be_opened_ends_it_before_anything_is_sent() -> None:
    class Guarded(ScriptedSink):
        opened = closed = 0
        broken = False

        async def __aenter__(self) -> Any:
            if self.broken:
                raise UnavailableError("missing", "index")
            self.opened += 1
            return self

        async def __aexit__(self, *_: object) -> None:
            self.closed += 1

    sink = Guarded()
    through(flow_of(sink), *letters(CHUNK + 1))
    assert (sink.opened, sink.closed) == (1, 1)
    sink.broken, shelf = True, MemoryShelf()
    with pytest.raises(UnavailableError):
        through(flow_of(sink), *letters(1), shelf=shelf)
    assert shelf.markers == []
