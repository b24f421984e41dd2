"""A slow sink slows its own fork and nothing else: receives stop at the budget, and memory stays flat (contract 5)."""

from __future__ import annotations

import asyncio
import threading

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.faults.relay import Answer, Handler, Relay, Request, reached
from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered, on_both_wires

pytestmark = pytest.mark.usefixtures("unmeasured")

FORKS = """
forks:
  slow:
    source: {sqs: {queue: "{name}-slow", envelope: raw}}
    sink: {s3: {bucket: "{name}-slow"}}
    batch: {max_events: 20, max_age: 1s}
    budget: {max_events: 100}
  quick:
    source: {sqs: {queue: "{name}-quick", envelope: raw}}
    sink: {s3: {bucket: "{name}-quick"}}
    batch: {max_age: 200ms}
"""
SIZE = 25_000
EVENTS = 2400
TOLERANCE = 12 * 2**20
"""Bytes that memory may move by while four times as much goes through; it moved by 3 MiB."""


@on_both_wires
def test_receives_stop_at_the_budget_memory_stays_flat_and_the_other_fork_goes_on(site: Site, relay: Relay) -> None:
    slow, quick = site.queue("slow"), site.queue("quick")
    buckets = site.bucket("slow"), site.bucket("quick")
    slow.send(numbered(range(EVENTS), fill=SIZE))
    go = threading.Event()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if (request.action, request.about) == ("PutObject", buckets[0].name):
            await reached(go)
            await asyncio.sleep(0.02)
        return await pass_on(request)

    relay.step = step
    with serving(site.config(FORKS), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: service.fork("slow")["in_flight"] >= 100, 60, service.logged)
        receives = relay.seen["ReceiveMessage", slow.name]
        quick.send(numbered(range(300)))
        wait_until(lambda: not quick.left, 60, service.logged)

        assert service.fork("slow")["in_flight"] == 100
        assert relay.seen["ReceiveMessage", slow.name] == receives

        memory, process = list[int](), psutil.Process(service.process.pid)
        go.set()
        while left := slow.left:
            if left < EVENTS * 0.8:  # warm by now
                memory.append(process.memory_info().rss)
            assert service.fork("slow")["in_flight"] <= 100
        assert len(memory) > 5
        assert max(memory) - min(memory) < TOLERANCE, memory

    assert len(buckets[0].lines()) == EVENTS
    assert len(buckets[1].lines()) == 300
