"""A destination that may not be used is waited for: no restart is asked for, and no receive is burnt (contracts 2 and 3)."""

from __future__ import annotations

import json
import time
from collections import Counter

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.faults.relay import Answer, Handler, Relay, Request, refusal, s3_refusal
from tests.faults.service_process import serving, wait_until
from tests.faults.site import Queue, Site, numbered

pytestmark = pytest.mark.usefixtures("unmeasured")

FORKS = """
forks:
  bucket:
    source: {sqs: {queue: "{name}-bucket", envelope: raw}}
    sink: {s3: {bucket: "{name}-bucket"}}
    batch: {max_age: 100ms, max_events: 100}
    write_timeout: 3s
  key:
    source: {sqs: {queue: "{name}-key", envelope: raw}}
    stages: [{encrypt: {kms_key: "{key}"}}]
    sink: {s3: {bucket: "{name}-key"}}
    batch: {max_age: 100ms, max_events: 100}
    write_timeout: 3s
"""
HOLD = 4.0
"""Seconds of the first hold: a batch's age and a write's time, in whole seconds."""
DENIED = {"bucket": "s3:PutObject", "key": "kms:GenerateDataKey"}
EVENTS = 300


def test_denied_for_three_visibility_timeouts_no_event_is_given_up(site: Site, relay: Relay) -> None:
    redrive = {name: site.queue(f"{name}-redrive") for name in DENIED}
    queues = {name: _queue(site, name, redrive[name]) for name in DENIED}
    buckets = {name: site.bucket(name) for name in DENIED}
    key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    for queue in queues.values():
        queue.send(numbered(range(EVENTS)))

    polls = Counter[str]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action == "ReceiveMessage":
            polls[request.about] += 1
            try:
                return await pass_on(request)
            finally:
                polls[request.about] -= 1
        if request.action == "PutObject" and request.about == buckets["bucket"].name:
            return s3_refusal(403, "AccessDenied")
        if request.action == "GenerateDataKey":
            return refusal(400, "AccessDeniedException")
        return await pass_on(request)

    relay.step = step
    with serving(site.config(FORKS.replace("{key}", key)), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: all(service.fork(name)["state"] == "halted" for name in DENIED), 60, service.logged)
        wait_until(lambda: not polls.total(), 60, service.logged)  # those under way may still bring something
        held = relay.handed_out.copy()
        for queue in queues.values():
            queue.send(numbered(range(EVENTS, 2 * EVENTS)))
        until = time.monotonic() + 3.5 * HOLD
        while time.monotonic() < until:
            assert service.ask("/health")[0] == 200
            time.sleep(1)
        status, reasons = service.ask("/ready")
        assert status == 503
        assert json.loads(reasons)["reasons"] == dict.fromkeys(DENIED, "halted: denied")
        for name, permission in DENIED.items():
            assert permission in service.fork(name)["detail"]

        assert relay.handed_out == held

        relay.step = None
        wait_until(lambda: not any(queue.left for queue in queues.values()), 90, service.logged)
        before = {queue.name: relay.seen["ReceiveMessage", queue.name] for queue in queues.values()}
        for queue in queues.values():
            queue.send(numbered(range(2 * EVENTS, 3 * EVENTS)))
        wait_until(lambda: not any(queue.left for queue in queues.values()), 60, service.logged)
        # at full rate again: by the ten, not one by one as an outage is probed
        assert all(relay.seen["ReceiveMessage", name] - seen < EVENTS / 2 for name, seen in before.items())
        assert service.ask("/ready")[0] == 200

    assert not any(queue.left for queue in redrive.values())
    assert set(relay.handed_out.values()) == {1}
    assert sorted(event["n"] for event in buckets["bucket"].lines()) == [*range(3 * EVENTS)]
    assert buckets["key"].objects()


def _queue(site: Site, name: str, redrive: Queue) -> Queue:
    policy = json.dumps({"deadLetterTargetArn": redrive.arn, "maxReceiveCount": 3})
    return site.queue(name, RedrivePolicy=policy)
