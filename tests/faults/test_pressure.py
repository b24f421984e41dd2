"""A batch that nothing else would close for long is closed when the budget is full (contract 5)."""

from __future__ import annotations

import pytest

from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered

pytestmark = pytest.mark.usefixtures("unmeasured")

ORDERS = """
forks:
  orders:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {s3: {bucket: "{name}-orders"}}
    batch: {max_age: 12h, max_events: 100000}
    budget: {max_events: 50}
"""


def test_a_full_budget_closes_the_batch(site: Site) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    queue.send(numbered(range(220)))

    with serving(site.config(ORDERS)) as service:
        # what is left is less than a budget, and waits for more
        wait_until(lambda: queue.left <= 50, 60, service.logged)
        assert service.metric("forkstream_batch_closed_total", reason="pressure") >= 4
        assert service.metric("forkstream_batch_closed_total") == service.metric(
            "forkstream_batch_closed_total", reason="pressure"
        )

    assert sorted(event["n"] for event in bucket.lines()) == [*range(220)]
    assert not queue.left
