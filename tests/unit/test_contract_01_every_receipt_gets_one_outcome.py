"""Contract 1: every receipt gets exactly one outcome, decided after its effect is durable."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forkstream import Drop, Event, Failure, PermanentError, TransientError, UnavailableError
from forkstream.flow.custody import Outcome
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.settlement import DecidedTwiceError
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until

ANSWERS = st.lists(
    st.sampled_from(
        [
            "ok",
            "slow",
            "hang",
            "transient",
            "permanent",
            "unavailable",
            "bug",
            "none",
            "some-transient",
            "some-permanent",
        ]
    ),
    max_size=25,
)


def scripted(answers: list[str]) -> ScriptedSink:
    """A sink that gives these answers in turn, then only good ones."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        answer = answers[call - 1] if call <= len(answers) else "ok"
        await anyio.sleep(1000 if answer == "hang" else 5 if answer == "slow" else 0.01)
        match answer:
            case "transient":
                raise TransientError("throttled")
            case "permanent":
                raise PermanentError("bad")
            case "unavailable":
                raise UnavailableError("denied")
            case "bug":
                raise ZeroDivisionError
            case "none":
                return None  # type: ignore[return-value]  # an author's bug
            case "some-transient":
                return [Failure.transient(event, "busy") for event in batch[::2]]
            case "some-permanent":
                return [Failure.permanent(event, "bad") for event in batch[::3]]
        return ()

    return ScriptedSink(script)


@settings(max_examples=200)
@given(
    answers=ANSWERS,
    count=st.integers(0, 60),
    max_events=st.integers(1, 20),
    max_held=st.integers(1, 40),
    max_bytes=st.integers(1, 3000),
    concurrency=st.integers(1, 4),
    max_elapsed=st.sampled_from([0.0, 3.0, 300.0]),
    groups=st.sampled_from([0, 0, 1, 3]),
    then_dead=st.booleans(),
    with_letters=st.booleans(),
    drain_at=st.none() | st.floats(0, 40),
)
@example(  # a budget of one event, which poison that nobody may be blamed for took for ever
    answers=[
        *("none", "ok", "unavailable", "some-permanent", "none", "permanent", "permanent", "none", "ok", "slow", "bug"),
        *("none", "some-transient", "some-permanent"),
    ],
    count=60,
    max_events=1,
    max_held=18,
    max_bytes=18,
    concurrency=1,
    max_elapsed=0.0,
    groups=0,
    then_dead=False,
    with_letters=False,
    drain_at=None,
)
def test_in_any_order_of_outcomes_errors_and_drains(  # one argument a dimension
    answers: list[str],
    count: int,
    max_events: int,
    max_held: int,
    max_bytes: int,
    concurrency: int,
    max_elapsed: float,
    groups: int,
    then_dead: bool,
    with_letters: bool,
    drain_at: float | None,
) -> None:
    sink, letters = scripted(answers), ScriptedSink()
    # without dead letters an ordered queue's poison holds back its group, until the queue's own redrive
    poison = with_letters or not groups

    def drop_some(event: Event) -> Event | Drop:
        if int(event.id) % 11 == 3:
            return Drop("eleventh")
        if int(event.id) % 13 == 5 and poison:
            raise PermanentError("thirteenth")
        return event

    async def main() -> None:
        source = memory_source(events(count, groups=groups), ordered=bool(groups))
        fork = fork_of(
            source,
            sink,
            stages=[ScriptedStage(drop_some)],
            dead_letters=letters if with_letters else None,
            max_events=max_events,
            max_held_events=max_held,
            max_held_bytes=max_bytes,
            concurrency=concurrency,
            retry=RetryPolicy(write_timeout=60, max_elapsed=max_elapsed, then_dead=then_dead),
        )
        never = (
            {str(n) for n in range(count) if n % 13 == 5 and n % 11 != 3 and not with_letters}
            if not with_letters
            else set()
        )
        async with running(fork, drain_within=30):
            if drain_at is None:
                # no deadlock, whatever the budget: in the end all that can be settled is
                await until(lambda: {event.id for event in source.waiting} <= never, 86400)
            else:
                await anyio.sleep(drain_at)
        deleted = [event.id for event in source.settled]
        assert len(deleted) == len(set(deleted))
        assert sorted(deleted + [event.id for event in source.waiting], key=int) == [str(n) for n in range(count)]
        effects = {
            *sink.written,
            *(event.id for event in letters.events),
            *(str(n) for n in range(count) if n % 11 == 3),
        }
        assert set(deleted) <= effects, "an event was deleted before its effect was durable"
        settled = fork.settlement.settled
        assert sum(settled[outcome] for outcome in Outcome if outcome is not Outcome.RETRY) >= len(deleted)
        if drain_at is None:
            assert fork.budget.events == len(fork.custody.undecided()) == 0
            assert fork.budget.bytes == 0

    run_on_fake_clock(main)


def test_a_second_outcome_is_refused() -> None:
    async def main() -> None:
        source = memory_source(events(1))
        fork = fork_of(source, ScriptedSink())
        held = fork.custody.take(await source.receive(1, hold=10, wait=0), anyio.current_time())
        fork.settlement.delete(held, Outcome.DONE)
        with pytest.raises(DecidedTwiceError):
            fork.settlement.show_again(held, lambda _: 0)
        fork.drain()
        await fork.run()

    run_on_fake_clock(main)
