"""What comes again changes nothing: a redelivery and a replay leave the table and the search as they were (contract 7)."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from forkstream_checkout.generator import bodies

from tests.faults.relay import Answer, Handler, Relay, Request, answer
from tests.faults.service_process import ServiceProcess, serving, wait_until
from tests.faults.shop import Shop
from tests.faults.site import Site

pytestmark = pytest.mark.usefixtures("unmeasured")

ORDERS = 200


def test_a_redelivery_and_a_replay_change_nothing(site: Site, relay: Relay) -> None:
    shop = Shop(site)
    queues = [shop.queues[name] for name in ("checkout", "search")]
    sold = list(islice(bodies(7), ORDERS))

    async def forget_deletes(request: Request, pass_on: Handler) -> Answer:
        if request.action != "DeleteMessageBatch":
            return await pass_on(request)
        return answer({"Successful": [{"Id": entry["Id"]} for entry in request.json["Entries"]]})

    relay.step = forget_deletes
    short = {"FORKSTREAM_FORKS__CHECKOUT__WRITE_TIMEOUT": "3s", "FORKSTREAM_FORKS__SEARCH__WRITE_TIMEOUT": "3s"}
    options = ("--fork", "checkout", "--fork", "search")
    with serving(shop.config, *options, AWS_ENDPOINT_URL=relay.url, **short) as service:
        for queue in queues:
            queue.send(sold)
        wait_until(lambda: _written(service) == [ORDERS] * 2, 60, service.logged)
        before = _rows(shop), shop.documents()

        relay.step = None
        wait_until(lambda: not any(queue.left for queue in queues), 60, service.logged)
        assert set(relay.handed_out.values()) == {2}
        assert (_rows(shop), shop.documents()) == before

        for queue in queues:
            queue.send(sold)  # as new messages, which is what a replay makes of them
        wait_until(lambda: _written(service) == [3 * ORDERS] * 2, 60, service.logged)

    assert (_rows(shop), shop.documents()) == before
    assert [len(found) for found in before] == [ORDERS] * 2


def _written(service: ServiceProcess) -> list[int]:
    return [service.fork(name)["written"] for name in ("checkout", "search")]


def _rows(shop: Shop) -> list[dict[str, Any]]:
    return sorted(shop.rows(), key=lambda row: str(row["DateOrderId"]["S"]))
