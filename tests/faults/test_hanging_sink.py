"""A sink that does not answer is given up after `write_timeout`, and asked again (contract 3)."""

from __future__ import annotations

from collections import Counter

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
    batch: {max_age: 200ms}
    write_timeout: 2s
"""


def test_a_put_that_is_never_answered_is_put_again(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    queue.send(numbered(range(30)))
    puts = Counter[str]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action == "PutObject":
            puts[request.path] += 1
            if puts[request.path] <= 2:
                return await never()
        return await pass_on(request)

    relay.step = step
    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: not queue.left, 60, service.logged)
        assert service.metric("forkstream_failures_total", kind="transient", code="timeout") >= 2 * 30
        assert service.fork("orders")["written"] == 30

    assert sorted(event["n"] for event in bucket.lines()) == [*range(30)]
    assert {put.split("?")[0].rpartition("/")[2] for put in puts} == set(bucket.objects())
