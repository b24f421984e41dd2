"""What a fork holds stays hidden for as long as it takes, far beyond the first hold (contract 6)."""

from __future__ import annotations

import time

import pytest

from tests.faults.relay import Answer, Handler, Relay, Request, never
from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered

pytestmark = pytest.mark.usefixtures("unmeasured")

ORDERS = """
forks:
  orders:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {s3: {bucket: "{name}-orders"}}
    batch: {max_age: 100ms}
    write_timeout: 4s
"""
HOLD = 5.0
"""Seconds of the first hold: a batch's age and a write's time, in whole seconds."""


def test_a_slow_sink_costs_no_second_receive(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders", VisibilityTimeout="1"), site.bucket("orders")
    queue.send(numbered(range(35)))

    async def step(request: Request, pass_on: Handler) -> Answer:
        return await never() if request.action == "PutObject" else await pass_on(request)

    relay.step = step
    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: len(relay.handed_out) == 35, 60, service.logged)
        until = time.monotonic() + 2.5 * HOLD
        wait_until(lambda: time.monotonic() > until, 60)
        assert service.fork("orders")["in_flight"] == 35
        relay.step = None
        wait_until(lambda: not queue.left, 60, service.logged)

        assert set(relay.handed_out.values()) == {1}
        assert service.fork("orders")["expired"] == 0
        assert service.metric("forkstream_visibility_extensions_total") >= 2 * 35

    assert sorted(event["n"] for event in bucket.lines()) == [*range(35)]
