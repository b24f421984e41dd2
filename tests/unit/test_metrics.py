"""What Prometheus is shown of a service and of its forks, and what the status says beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from forkstream.errors import UnavailableError
from forkstream.flow.batcher import Limits
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.service import Service
from forkstream.sources.memory import MemorySource
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import ScriptedSink, events, memory_source, until


@asynccontextmanager
async def service_of(source: MemorySource) -> AsyncIterator[Service]:
    flow = Flow(
        name="test",
        source=source,
        outlet=Outlet(sink=ScriptedSink(), render=Format().render),
        limits=Limits(max_events=10, max_bytes=2**20, max_age=1.0),
    )
    service = Service([flow])
    with capture_logs():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await until(lambda: not source.waiting)
            await anyio.sleep(2)
            yield service
            service.stop()


def test_no_series_tells_when_another_was_made() -> None:
    async def main() -> None:
        async with service_of(memory_source(events(3))) as service:
            page = generate_latest(service.registry).decode()
        assert 'forkstream_received_total{fork="test"} 3.0' in page
        assert "forkstream_write_seconds_count" in page
        assert "_created" not in page

    run_on_fake_clock(main)


def test_what_arrived_damaged_is_counted() -> None:
    async def main() -> None:
        source = memory_source(events(3))
        source.damaged = 2
        async with service_of(source) as service:
            assert service.registry.get_sample_value("forkstream_damaged_total", {"fork": "test"}) == 2

    run_on_fake_clock(main)


def test_a_fork_that_is_paused_in_its_trouble_tells_both() -> None:
    async def main() -> None:
        async with service_of(memory_source()) as service:
            (fork,) = service.forks.values()
            fork.gate.halt(UnavailableError("denied", "s3:PutObject on orders"))
            fork.gate.pause(True)
            (status,) = service.status().forks
            fork.gate.pause(False)
            fork.gate.succeeded()
        assert (status.state, status.paused, status.standing) == ("halted", True, "halted, paused")

    run_on_fake_clock(main)
