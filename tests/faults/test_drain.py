"""A service that is asked to end writes what it holds, releases the rest, and loses nothing (contract 8)."""

from __future__ import annotations

import threading
from collections import Counter

from tests.faults.relay import Answer, Handler, Relay, Request, never
from tests.faults.service_process import ServiceProcess, serving, wait_until
from tests.faults.site import Site, numbered, on_both_wires

ORDERS = """
forks:
  orders:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {s3: {bucket: "{name}-orders"}}
    batch: {max_age: 1h}
"""
EVENTS = 25


@on_both_wires
def test_what_a_long_poll_under_way_brings_is_released_and_the_batch_written(site: Site, relay: Relay) -> None:
    queue, bucket, waits = site.queue("orders"), site.bucket("orders"), set[int]()
    queue.send(numbered(range(EVENTS)))

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action == "ReceiveMessage":
            waits.add(request.json["WaitTimeSeconds"])
        return await pass_on(request)

    relay.step = step
    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: service.fork("orders")["in_flight"] == EVENTS, 60, service.logged)
        service.signal()
        wait_until(lambda: service.says("draining"), 60, service.logged)
        queue.send(numbered([EVENTS]))
        assert service.process.wait(60) == 0

    # 7 s of the 12 that there are before a SIGKILL are the drain's, and a long poll may take half of them
    assert max(waits) == 3
    # a long poll brought the late one, it was released, and nobody received any more
    assert Counter(relay.handed_out.values()) == {1: EVENTS + 1}
    assert sorted(event["n"] for event in bucket.lines()) == [*range(EVENTS)]
    assert (queue.visible, queue.hidden) == (1, 0)


def test_a_sink_that_hangs_does_not_outlast_the_drain(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    queue.send(numbered(range(EVENTS)))

    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url) as service:
        released = _hang_while_draining(service, relay)
        assert service.process.wait(60) == 0

    assert released == {0: EVENTS}
    assert (queue.visible, queue.hidden) == (EVENTS, 0)
    assert bucket.objects() == {}


def test_a_second_signal_ends_it_at_once_and_loses_nothing(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    queue.send(numbered(range(EVENTS)))

    # a drain alone would take longer than the test may
    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url, FORKSTREAM_STOP_TIMEOUT="3600s") as service:
        released = _hang_while_draining(service, relay)
        service.signal()
        assert service.process.wait(60) == 0

    # A long poll that was hung up on may be handed what is released, and hide it until the first hold is over.
    assert released == {0: EVENTS}
    assert queue.left == EVENTS
    assert bucket.objects() == {}


def _hang_while_draining(service: ServiceProcess, relay: Relay) -> Counter[int]:
    """Ask the service to drain, while its sink hangs with all events; counts what is hidden from then on, by how long."""
    hanging, hidden = threading.Event(), Counter[int]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action == "PutObject":
            hanging.set()
            return await never()
        if request.action == "ChangeMessageVisibilityBatch":
            hidden.update(entry["VisibilityTimeout"] for entry in request.json["Entries"])
        return await pass_on(request)

    relay.step = step
    wait_until(lambda: service.fork("orders")["in_flight"] == EVENTS, 60, service.logged)
    service.signal()
    assert hanging.wait(60), service.logged()
    return hidden
