"""Contract 5, at volume: a batch limit that the config leaves out is found, and a given one is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream import BatchDefaults, Event, Failure, TransientError
from forkstream.flow.batch_sizes import SMALLEST, BatchSizes, Tuning
from forkstream.flow.batcher import Limits
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, events, fork_of, memory_source, running, until

MIB = 2**20
START = Limits(max_events=1000, max_bytes=5 * MIB, max_age=60.0)


def sizes(**tuning: object) -> BatchSizes:
    return BatchSizes(START, Tuning(**tuning), max_held_events=100_000, max_held_bytes=512 * MIB)  # type: ignore[arg-type]


def test_objects_reach_their_target_as_stored() -> None:
    found = sizes(events=True, bytes=True)
    stored = 0
    for _ in range(10):
        stored = found.limits.max_bytes // 8
        found.rendered(found.limits.max_bytes, stored)
    assert abs(stored - 16 * MIB) < MIB / 10
    assert found.limits.max_events == 50_000


def test_no_object_takes_more_than_half_of_what_may_be_held() -> None:
    found = BatchSizes(START, Tuning(events=True, bytes=True), max_held_events=3000, max_held_bytes=64 * MIB)
    for _ in range(10):
        found.rendered(found.limits.max_bytes, 1)
    assert (found.limits.max_events, found.limits.max_bytes) == (1500, 32 * MIB)


@given(st.booleans(), st.booleans(), st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**30)), max_size=20))
def test_given_limits_win_whatever_comes(events: bool, size: bool, rendered: list[tuple[int, int]]) -> None:
    found = sizes(events=events, bytes=size, most_events=5000)
    for bodies, stored in rendered:
        found.rendered(bodies, stored)
        found.attempted(1000, 0.01, None)
        found.attempted(1000, 0.01, TransientError("throttled"))
        assert events or found.limits.max_events == 1000
        assert size or found.limits.max_bytes == 5 * MIB
        assert 1 <= found.limits.max_events <= 50_000
        assert SMALLEST <= found.limits.max_bytes <= 256 * MIB


@pytest.mark.unmeasured
def test_bulk_requests_grow_while_they_are_fast_and_shrink_when_they_are_refused() -> None:
    class Bulk(ScriptedSink):
        batch_defaults = BatchDefaults(max_events=20, most_events=200)

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        await anyio.sleep(0.01 * len(batch) / 20)
        if len(batch) > 60:
            raise TransientError("too_many_requests")
        return ()

    async def main() -> None:
        source, sink = memory_source(events(12_000)), Bulk(script)
        fork = fork_of(source, sink, max_events=20, max_held_events=400, tuning=Tuning(events=True, most_events=200))
        async with running(fork):
            await until(lambda: len(source.settled) == 12_000)
        lengths = [len(batch) for batch in sink.batches]
        assert max(lengths) > 60, "it never found out"
        assert sum(length > 60 for length in lengths) < len(lengths) / 3
        assert len(lengths) < 500  # at 20 each, there would be 600

    run_on_fake_clock(main)
