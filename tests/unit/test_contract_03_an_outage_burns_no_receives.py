"""Contract 3: an outage, however long, pushes no good event into the redrive queue, and ends for all soon after it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import anyio
import pytest

from forkstream import Event, Failure, Receipt, Refusal, TransientError, UnavailableError
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.fork import Fork
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import CONTEXT, ScriptedSink, events, fork_of, memory_source, receives_of, running, until

HOUR = 3600.0

pytestmark = pytest.mark.unmeasured  # hours of probes: others run the same lines


class LikeSqs(MemorySource):
    """Hides no event for more than twelve hours from its receive, and tells of what was asked beyond them."""

    hold_limit = 12 * HOUR

    def __init__(self, *, ordered: bool = False) -> None:
        super().__init__(MemoryConfig(ordered=ordered), CONTEXT)
        self.received_at: dict[Receipt, float] = {}
        self.beyond = 0

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        answer = await super().receive(limit, hold=hold, wait=wait)
        self.received_at |= {receipt: anyio.current_time() for _, receipt in answer}
        return answer

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        ends = anyio.current_time() + seconds
        beyond = [receipt for receipt in receipts if ends > self.received_at[receipt] + self.hold_limit]
        self.beyond += len(beyond)
        within = [receipt for receipt in receipts if receipt not in beyond]
        return [Refusal(one, lost=True, code="beyond") for one in beyond] + [*await super().hold(within, seconds)]


def failing_sink() -> ScriptedSink:
    """A sink that is down unless ``healthy``."""

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not sink.healthy:
            raise TransientError("connection")
        return ()

    sink = ScriptedSink(script)
    sink.healthy = False
    return sink


@pytest.mark.parametrize(
    ("hours", "count", "groups", "redrive", "elapsed"),
    [
        (62, 1, 0, 10, 300.0),
        (62, 5, 1, 10, 300.0),
        (6, 1, 0, 3, 300.0),
        (6, 1, 0, 3, 0.0),
        (6, 3, 1, 3, 300.0),
        (14, 60, 0, 4, 300.0),
        (10, 120, 0, 8, 300.0),
    ],
)
def test_a_quiet_queue_outlives_a_long_outage(
    hours: float, count: int, groups: int, redrive: int, elapsed: float
) -> None:
    async def main() -> None:
        source, sink = LikeSqs(ordered=bool(groups)), failing_sink()
        source.put(events(count, groups=groups))
        fork = fork_of(source, sink, retry=RetryPolicy(max_elapsed=elapsed))
        async with running(fork):
            await anyio.sleep(hours * HOUR)
            assert max(receives_of(source)) <= redrive
            sink.healthy = True
            await until(lambda: sink.written, 120)
            held = fork.budget.events
            await until(lambda: len(sink.written) >= held, 300)
            if count <= fork.aside.MOST:
                await until(lambda: not source.waiting, 600)
        assert max(event.receive_count for event in sink.events) <= redrive
        assert source.beyond == 0

    run_on_fake_clock(main)


@pytest.mark.parametrize("concurrency", [1, None])
@pytest.mark.parametrize("count", [1, 15])
def test_events_that_always_fail_for_now_keep_no_other_from_its_try(count: int, concurrency: int | None) -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "hot_key") for event in batch if int(event.id) < count]

    async def main() -> None:
        source, sink = memory_source(events(count)), ScriptedSink(script)
        fork = fork_of(source, sink, concurrency=concurrency)
        async with running(fork, drain_within=1):
            await anyio.sleep(4 * HOUR)
            assert fork.gate.troubled
            source.put(events(20, start=count))
            await until(lambda: len(sink.written) == 20, 300)

    run_on_fake_clock(main)


def test_an_event_whose_part_of_the_destination_is_down_is_received_less_and_less_often() -> None:
    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        return [Failure.transient(event, "shard_down") for event in batch if event.id == "0"]

    async def main() -> None:
        source = memory_source(events(1))
        async with running(fork_of(source, ScriptedSink(script)), drain_within=1):
            for number in range(1, 40):
                source.put(events(1, start=number))
                await anyio.sleep(HOUR / 10)
            assert max(receives_of(source)) < 10

    run_on_fake_clock(main)


@pytest.mark.parametrize("where", ["its turn", "the stream of ready batches"])
def test_what_a_halt_outlasts_is_let_go_of_and_not_written_late(where: str) -> None:
    """Another consumer may have it by then."""
    mended = False

    async def script(batch: Sequence[Event], call: int) -> Collection[Failure]:
        if not mended:
            raise UnavailableError("denied")
        now = anyio.current_time()
        late.extend(event for event in batch if now >= source.received_at[by_id[event.id]] + source.hold_limit)
        return ()

    async def main() -> None:
        nonlocal mended
        take = source.receive

        async def receive(limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
            answer = await take(limit, hold=hold, wait=wait)
            by_id.update({event.id: receipt for event, receipt in answer})
            return answer

        source.receive = receive  # type: ignore[method-assign]
        source.put(events(40))
        concurrency = 1 if where != "its turn" else 8
        fork: Fork = fork_of(source, ScriptedSink(script), max_events=5, concurrency=concurrency, poll_wait=1.0)
        async with running(fork):
            await anyio.sleep(12 * HOUR + 5)
            mended = True
            await until(lambda: not source.waiting, 2 * HOUR)
        assert late == []

    late: list[Event] = []
    by_id: dict[str, Receipt] = {}
    source = LikeSqs()
    run_on_fake_clock(main)
