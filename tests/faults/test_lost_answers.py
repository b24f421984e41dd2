"""An object whose answer was lost is there once, and is found again (contract 7)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.relay import HANG_UP, Answer, Handler, Relay, Request, never, s3_refusal
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


def test_a_put_whose_answer_is_lost_leaves_one_object(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    answers = list[int]()

    def failing_first(how: str) -> None:
        puts = Counter[str]()

        async def step(request: Request, pass_on: Handler) -> Answer:
            if request.action != "PutObject":
                return await pass_on(request)
            puts[request.path] += 1
            if how == "conflict" and puts[request.path] == 1:
                return s3_refusal(409, "ConditionalRequestConflict")
            stored = await pass_on(request)
            answers.append(stored.status)
            if puts[request.path] == 1:
                return HANG_UP if how == "hung up on" else await never()
            return stored

        relay.step = step

    with serving(site.config(ORDERS), AWS_ENDPOINT_URL=relay.url) as service:
        for turn, how in enumerate(("hung up on", "never answered", "conflict")):
            failing_first(how)
            queue.send(numbered(range(turn * 10, turn * 10 + 10)))
            wait_until(lambda: not queue.left, 60, service.logged)
        status = service.fork("orders")

    assert (status["written"], status["dead"], status["retried"]) == (30, 0, 0)
    assert answers.count(412) >= 2, answers  # each put that was answered by nobody, asked for again
    assert answers.count(200) == len(bucket.objects())
    assert sorted(event["n"] for event in bucket.lines()) == [*range(30)]
