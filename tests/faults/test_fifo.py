"""From a FIFO queue to a FIFO queue, through every failure on the way: each group in its order, each event once (contract 11)."""

from __future__ import annotations

import json
import random

import pytest

from tests.faults.relay import HANG_UP, Answer, Handler, Relay, Request, refusal
from tests.faults.relay import answer as good
from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site, numbered, on_both_wires

pytestmark = pytest.mark.usefixtures("unmeasured")

FORKS = """
forks:
  orders:
    source: {sqs: {queue: "{name}-in.fifo", envelope: raw}}
    sink: {sqs: {queue: "{name}-out.fifo"}}
    batch: {max_age: 200ms}
    retry: {max_elapsed: 1s}
"""
GROUPS = [f"customer-{number}" for number in range(6)]
EVENTS = 90


@on_both_wires
def test_each_group_keeps_its_order_through_failures(site: Site, relay: Relay, seed: int) -> None:
    dice = random.Random(seed)
    source, sink = site.queue("in.fifo"), site.queue("out.fifo")
    source.send(numbered(range(EVENTS)), groups=GROUPS)

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action not in {"SendMessageBatch", "DeleteMessageBatch"} or dice.random() < 0.7:
            return await pass_on(request)
        how = dice.choice(["refused", "lost", "in part", "in part"])
        if how == "refused":
            return refusal(500, "InternalError")
        if how == "lost":
            await pass_on(request)
            return HANG_UP
        entries = request.json["Entries"]
        passed = [entry for entry in entries if dice.random() < 0.5]
        failed = [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in entries if e not in passed]
        content = (await pass_on(request.with_json({**request.json, "Entries": passed}))).json if passed else {}
        return good({"Successful": [], **content, "Failed": failed})

    relay.step = step
    with serving(site.config(FORKS), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: not source.left, 100, service.logged)
        assert service.fork("orders")["failed"] > 0

    arrived: dict[str, list[int]] = {group: [] for group in GROUPS}
    for message in sink.take():
        arrived[message["Attributes"]["MessageGroupId"]].append(json.loads(message["Body"])["n"])
    assert arrived == {group: [*range(place, EVENTS, len(GROUPS))] for place, group in enumerate(GROUPS)}
