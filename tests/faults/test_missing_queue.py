"""A fork whose queue is missing waits alone, and starts when the queue is there (contract 9)."""

from __future__ import annotations

import pytest

from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered

pytestmark = pytest.mark.usefixtures("unmeasured")

FORKS = """
forks:
  there:
    source: {sqs: {queue: "{name}-there", envelope: raw}}
    sink: {s3: {bucket: "{name}-there"}}
    batch: {max_age: 200ms}
  late:
    source: {sqs: {queue: "{name}-late", envelope: raw}}
    sink: {s3: {bucket: "{name}-late"}}
    batch: {max_age: 200ms}
"""


def test_a_missing_queue_stops_its_own_fork_until_it_is_there(site: Site) -> None:
    there, buckets = site.queue("there"), [site.bucket("there"), site.bucket("late")]
    there.send(numbered(range(30)))

    with serving(site.config(FORKS)) as service:
        wait_until(lambda: service.fork("late")["state"] == "halted", 60, service.logged)
        wait_until(lambda: not there.left, 60, service.logged)
        status = service.fork("late")
        assert status["code"] == "missing"
        assert f"{site.name}-late" in status["detail"]
        assert service.ask("/health")[0] == 200
        assert service.ask("/ready")[0] == 503

        late = site.queue("late")
        late.send(numbered(range(30)))
        wait_until(lambda: not late.left, 90, service.logged)
        assert service.ask("/ready")[0] == 200

    assert [sorted(event["n"] for event in bucket.lines()) for bucket in buckets] == [[*range(30)]] * 2
