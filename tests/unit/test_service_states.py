"""What the log tells of a fork's state: its trouble, and that it is over, once it is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from forkstream import Event, Failure
from forkstream.assembly import flow_of
from forkstream.config.loading import load_config
from forkstream.errors import UnavailableError
from forkstream.flow.batcher import Limits
from forkstream.flow.chain import Step
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.service import Service
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedAsyncStage, ScriptedSink, events, memory_source, until

CONFIG = "forks: {one: {source: memory, sink: blackhole}}"


def told_of(service: Service, told: dict[str, str]) -> list[Any]:
    with capture_logs() as logs:
        service._tell_state(service.forks["one"], told)
    return [line["event"] for line in logs]


@pytest.mark.parametrize("meanwhile", ["drained", "paused"])
async def test_a_fork_that_was_halted_is_open_again_when_it_is_and_not_while_it_is(meanwhile: str) -> None:
    config = load_config("env:CONFIG", environ={"CONFIG": CONFIG})
    service = Service([flow_of(plan) for plan in config.plans])
    fork = service.forks["one"]
    told: dict[str, str] = {}

    fork.gate.halt(UnavailableError("denied", "s3:PutObject on b"))
    assert told_of(service, told) == ["halted"]
    if meanwhile == "drained":
        fork.gate.drain()
        assert told_of(service, told) == []
    else:
        fork.gate.succeeded()
        fork.gate.pause(True)
        assert told_of(service, told) == []
        fork.gate.pause(False)
        assert told_of(service, told) == ["open again"]
    fork._end_queues()
    del service, fork
    gc.collect()  # what was not closed would fail another test


def flow(sink: ScriptedSink, source: Any) -> Flow:
    limits = Limits(max_events=10, max_bytes=2**20, max_age=0.1)
    return Flow(name="one", source=source, outlet=Outlet(sink=sink, render=Format().render), limits=limits)


@pytest.mark.parametrize("where", ["stage", "write", "receive", "delete", "hold"])
def test_a_fork_that_lost_a_task_to_a_plugin_is_a_failed_one(where: str) -> None:
    def cancelling(call: Callable[..., Any]) -> Callable[..., Any]:
        tasks: list[Any] = []

        async def cancel(*args: object, **options: object) -> Any:
            if not tasks:
                tasks.append(asyncio.current_task())
                tasks[0].cancel()
                await anyio.sleep(1)
            return await call(*args, **options)

        return cancel

    async def chunk(chunk: Sequence[Event], _call: int) -> Mapping[Event, Event]:
        return {event: event for event in chunk}

    async def slow(_batch: Sequence[Event], _call: int) -> Collection[Failure]:
        await anyio.sleep(50)
        return ()

    async def main() -> None:
        source, sink, stage = memory_source(events(3)), ScriptedSink(slow), ScriptedAsyncStage(chunk)
        owner, name = {"stage": (stage, "apply"), "write": (sink, "write")}.get(where, (source, where))
        setattr(owner, name, cancelling(getattr(owner, name)))
        service = Service([msgspec.structs.replace(flow(sink, source), steps=[Step("stages[0].scripted", stage)])])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await anyio.sleep(100)
            status = service.status()
            assert (status.healthy, status.forks[0].state) == (False, "failed")
            service.stop()

    run_on_fake_clock(main)


def _cancelled() -> object:
    raise asyncio.CancelledError


@pytest.mark.parametrize("estimate", [_cancelled, lambda: 5, lambda: "odd", lambda: (1, 2)])
def test_a_source_that_cannot_estimate_its_backlog_ends_no_service(estimate: Callable[[], Any]) -> None:
    async def main() -> None:
        source = memory_source(events(3))

        async def odd() -> Any:
            return estimate()

        source.backlog = odd  # type: ignore[method-assign]
        service = Service([flow(ScriptedSink(), source)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await anyio.sleep(200)
            source.put(events(3, start=3))
            await until(lambda: not source.waiting)
            assert service.status().healthy
            service.stop()

    run_on_fake_clock(main)
