"""What is measured: each metric by what provokes it, and the reference that the README makes of their declarations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from forkstream import Event, Failure, TransientError, UnavailableError
from forkstream.flow.batcher import Limits
from forkstream.flow.flow import Flow
from forkstream.flow.fork import Fork
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.loop_stall import LoopStall
from forkstream.metrics import Metrics, SupervisorMetrics, declared, reference, with_reference
from forkstream.service import Service
from forkstream.supervisor.worker_metrics import WorkerMetrics
from forkstream.telemetry import FailureLog
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, ScriptedStage, events, fork_of, memory_source, running, until

README = Path(__file__).parents[2] / "README.md"


class Readings:
    """The metrics of one fork that has run."""

    def __init__(self, fork: Fork) -> None:
        self._registry = fork.meter._metrics.registry

    def __call__(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"forkstream_{name}", {"fork": "test"} | labels) or 0.0


def after(sink: ScriptedSink, count: int = 10, stage: ScriptedStage | None = None, **flow: Any) -> Readings:
    """Run a fork until its source is empty."""

    async def main() -> Readings:
        source = memory_source(events(count))
        fork = fork_of(source, sink, stages=[stage] if stage else (), **flow)
        async with running(fork):
            await until(lambda: not source.waiting and not fork.budget.events)
        return Readings(fork)

    with capture_logs():
        return run_on_fake_clock(main)


# The reference.


def test_the_readmes_table_is_what_is_generated() -> None:
    text = README.read_text()
    assert with_reference(text) == text, "run `python -m forkstream.metrics README.md`"
    assert reference() in text


def test_every_metric_is_served_as_it_is_declared() -> None:
    metrics = Metrics()
    served = {family.name: family for family in metrics.registry.collect()}
    assert {metric.name for metric in declared(Metrics)} == served.keys()
    for metric in declared(Metrics):
        assert served[metric.name].type == metric.kind
        assert served[metric.name].documentation == metric.help
        assert metric.unit
        assert f"| `{metric.exposed}` | {metric.kind} |" in reference()


def test_what_the_supervisor_adds_is_declared_too() -> None:
    (restarts,) = declared(SupervisorMetrics)
    assert {family.name for family in WorkerMetrics().registry.collect()} == {restarts.name}
    assert restarts.exposed in reference()


def test_a_text_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="expected the marks"):
        with_reference("# A readme")


# What is measured.


def test_receives_tell_how_full_they_were_and_how_long_they_took() -> None:
    seen = after(ScriptedSink(), 25)
    assert seen("received_total") == 25
    assert seen("receives_total", fill="full") == seen("receive_seconds_count", fill="full") == 2
    assert seen("receives_total", fill="part") == seen("receive_seconds_count", fill="part") == 1
    assert seen("receive_seconds_sum", fill="full") == 0.0
    assert seen("receives_total", fill="empty") == seen("receive_seconds_count", fill="empty")


def test_batches_tell_their_size_their_age_and_why_they_were_closed() -> None:
    seen = after(ScriptedSink(), 25, max_events=10, max_age=2.0)
    assert seen("batch_closed_total", reason="count") == 2
    assert seen("batch_closed_total", reason="age") == 1
    assert seen("batch_events_sum") == 25
    assert seen("batch_age_seconds_count") == 3
    assert seen("batch_age_seconds_sum") == pytest.approx(2.0, abs=0.01)


async def _partly(batch: Sequence[Event], call: int) -> Collection[Failure]:
    """At first the destination is busy, then for one event alone."""
    if call == 1:
        raise TransientError("busy")
    return [Failure.transient(batch[0], "locked")] if call == 2 else ()


def test_attempts_are_told_apart_and_retries_counted_by_what_failed() -> None:
    seen = after(ScriptedSink(_partly))
    assert {outcome: seen("write_attempt_seconds_count", outcome=outcome) for outcome in ("written", "partial", "failed")} == {
        "written": 1, "partial": 1, "failed": 1,
    }  # fmt: skip
    assert seen("retries_total", step="sink", kind="transient", code="busy") == 1
    assert seen("retries_total", step="sink", kind="transient", code="partial") == 1
    assert seen("failures_total", step="sink", kind="transient", code="busy") == 10
    assert seen("failures_total", step="sink", kind="transient", code="locked") == 1
    assert seen("write_seconds_count") == 1
    assert seen("write_seconds_sum") > seen("write_attempt_seconds_sum", outcome="written")


def test_an_attempt_that_takes_its_time_is_timed() -> None:
    async def slow(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        await anyio.sleep(3)
        return ()

    assert after(ScriptedSink(slow))("write_attempt_seconds_sum", outcome="written") == pytest.approx(3, abs=0.01)


def test_what_a_stage_tries_again_is_a_retry_of_that_stage() -> None:
    calls = []

    def script(event: Event) -> Event:
        calls.append(event)
        if len(calls) <= 10:
            raise UnavailableError("denied")
        return event

    seen = after(ScriptedSink(), stage=ScriptedStage(script))
    assert seen("retries_total", step="stages[0].scripted", kind="unavailable", code="denied") >= 1
    assert seen("failures_total", step="stages[0].scripted", kind="unavailable", code="denied") >= 1


def test_ages_are_those_from_sending_to_durable() -> None:
    async def main() -> tuple[Readings, float | None]:
        source = memory_source(
            [Event(b"{}", id="1", sent_at=time.time() - 100), Event(b"{}", id="2", sent_at=time.time() - 200)]
        )
        fork = fork_of(source, ScriptedSink())
        async with running(fork):
            await until(lambda: not source.waiting)
        return Readings(fork), fork.meter.event_age

    seen, last = run_on_fake_clock(main)
    assert seen("event_age_seconds_count") == 2
    assert 300 <= seen("event_age_seconds_sum") < 400
    assert seen("event_age_seconds_bucket", le="120") == 1
    assert last is not None
    assert 150 <= last < 200


async def test_a_service_tells_how_much_of_its_budget_is_used_and_the_rest_by_fork() -> None:
    async def never(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        await anyio.sleep_forever()
        raise AssertionError

    source = memory_source(events(10))
    flow = Flow(
        name="test",
        source=source,
        outlet=Outlet(sink=ScriptedSink(never), render=Format().render),
        limits=Limits(max_events=10, max_bytes=2**20, max_age=0.01),
        max_held_events=40,
        concurrency=3,
        poll_wait=0.1,
    )
    service = Service([flow], stop_timeout=1.0)
    read = service.registry.get_sample_value
    with capture_logs():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.run())
            with anyio.fail_after(30):
                while read("forkstream_budget_used", {"fork": "test"}) != 0.25:
                    await anyio.sleep(0.05)
            (fork,) = service.status().forks
            assert (fork.in_flight, fork.budget_events, fork.concurrency, fork.event_age) == (10, 40, 3, None)
            service.stop()
            service.stop()
    assert read("forkstream_in_flight_events", {"fork": "test"}) == 10
    assert read("forkstream_fork_open", {"fork": "test"}) == 1


# The loop.


async def test_a_stall_of_the_loop_is_seen() -> None:
    stall = LoopStall()
    watching = asyncio.create_task(stall.run())
    with anyio.fail_after(60):
        while stall.longest < 0.2:
            await asyncio.sleep(0.05)
            time.sleep(0.35)  # noqa: ASYNC251  # the stall
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def test_a_stall_is_told_for_a_minute_and_an_idle_loop_has_none() -> None:
    async def main() -> list[float]:
        stall, told = LoopStall(), []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stall.run)
            await anyio.sleep(5)
            told.append(stall.longest)
            asyncio.get_running_loop()._now += 2.0  # type: ignore[attr-defined]  # of the fake clock: nobody could run
            await anyio.sleep(1)
            told.append(stall.longest)
            await anyio.sleep(28)
            told.append(stall.longest)
            await anyio.sleep(61)
            told.append(stall.longest)
            tasks.cancel_scope.cancel()
        return told

    before, at_once, later, after_a_minute = run_on_fake_clock(main)
    assert before == after_a_minute == 0.0
    assert at_once == later
    assert 1.8 < at_once <= 2.0


# Log lines.


def test_failures_of_a_code_are_one_line_in_ten_seconds_with_their_count() -> None:
    async def main() -> None:
        log = FailureLog("test")
        for _ in range(300):
            log.note("sink", "transient", "busy", 5)
            log.flush()
            await anyio.sleep(0.1)
        log.note("sink", "permanent", "bad", 1)
        log.flush(everything=True)

    with capture_logs() as lines:
        run_on_fake_clock(main)
    busy = [line for line in lines if line["code"] == "busy"]
    assert 3 <= len(busy) <= 4
    assert sum(line["events"] for line in busy) == 300 * 5
    assert [line["events"] for line in lines if line["code"] == "bad"] == [1]
