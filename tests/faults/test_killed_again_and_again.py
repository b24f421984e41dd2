"""A service that is killed at any instant loses nothing: its orders are counted at the destinations themselves."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from forkstream_checkout.generator import bodies

from tests.faults.relay import HANG_UP, Answer, Handler, Relay, Request
from tests.faults.service_process import ServiceProcess, serving, wait_until
from tests.faults.shop import Shop
from tests.faults.site import Site

ORDERS = 5000
BACKLOG = 340
"""Orders that wait in each queue when a service starts: enough for the latest instant, few enough for most of them to be
written before the next start."""
KILLS = 30
BEFORE_DELETE = 8
"""Kills between a durable write and its delete; the others come in any moment of a start or a run."""


class Instant(msgspec.Struct, frozen=True):
    """When a service dies: ``delay`` seconds after its ``count``-th request, of this action or of any.

    Counted in requests, not in seconds, an instant is much the same on every machine. ``answered`` says whether AWS
    still gets to see that request.
    """

    action: str | None
    count: int
    delay: float = 0.0
    answered: bool = False

    @classmethod
    def any(cls, dice: random.Random) -> Instant:
        """Any moment of the first 300 requests: a start takes 15, the backlog 315 at least."""
        return cls(None, dice.randint(1, 300), dice.choice([0.0, dice.uniform(0, 0.1)]), dice.random() < 0.5)

    @classmethod
    def before_delete(cls, dice: random.Random) -> Instant:
        """When events are written durably, and about to be deleted."""
        return cls("DeleteMessageBatch", dice.randint(1, 30))


@pytest.fixture
def shop(site: Site) -> Shop:
    return Shop(site)


@pytest.mark.timeout(300)
def test_thirty_kills_lose_no_order(shop: Shop, relay: Relay, seed: int) -> None:
    dice = random.Random(seed)
    instants = [(Instant.before_delete if n < BEFORE_DELETE else Instant.any)(dice) for n in range(KILLS)]
    dice.shuffle(instants)
    source, sent = bodies(seed), list[bytes]()

    def post(count: int) -> None:
        orders = list(islice(source, max(0, count)))
        shop.post(orders)
        sent.extend(orders)

    for instant in instants:
        post(BACKLOG - min(queue.visible for queue in shop.queues.values()))
        with killed_at(instant, relay, shop.config) as killed:
            assert killed.wait(60), instant
        shop.replayed()  # from time to time, since the embedded AWS is slow with deep queues
    with serving(shop.config):
        post(ORDERS - len(sent))
        wait_until(lambda: not shop.left, 120, lambda: shop.left)

    _assert_everything_arrived(shop, sent)


@pytest.mark.timeout(300)
def test_two_services_on_the_same_queues_one_of_them_killed(shop: Shop, relay: Relay, seed: int) -> None:
    dice = random.Random(seed)
    source, sent = bodies(seed), list[bytes]()
    # the database of the search fork has room for one process
    some = [option for name in ("checkout", "backup", "replay") for option in ("--fork", name)]

    with serving(shop.config):
        for _ in range(4):
            instant = Instant("DeleteMessageBatch", dice.randint(1, 20))
            with killed_at(instant, relay, shop.config, *some) as killed:
                while not killed.wait(0.2):
                    sent += (orders := list(islice(source, 50)))
                    shop.post(orders)
        wait_until(lambda: not shop.left, 120, lambda: shop.left)

    _assert_everything_arrived(shop, sent)


@contextmanager
def killed_at(instant: Instant, relay: Relay, config: Path, *options: str) -> Iterator[threading.Event]:
    """Run a service that is killed at the instant, which sets the event, or at the end of the block."""
    killed = threading.Event()
    requests = 0

    def kill() -> None:
        service.process.kill()
        killed.set()

    async def step(request: Request, pass_on: Handler) -> Answer:
        nonlocal requests
        counts = instant.action in (None, request.action)
        requests += counts
        if not counts or requests != instant.count:
            return await pass_on(request)
        asyncio.get_running_loop().call_later(instant.delay, kill)
        return await pass_on(request) if instant.answered else HANG_UP

    relay.step = step
    service = ServiceProcess(config, *options, AWS_ENDPOINT_URL=relay.url)
    try:
        yield killed
    finally:
        service.kill()
        relay.step = None
        if not killed.is_set():
            print(service.logged()[-2000:])  # noqa: T201  # pytest shows it where the test fails


def _assert_everything_arrived(shop: Shop, orders: list[bytes]) -> None:
    sent = [json.loads(order) for order in orders]
    ids = {order["id"] for order in sent}
    rows = shop.rows()
    # a row, a document: exactly once, whatever was repeated
    assert Counter((row["CustomerId"]["S"], row["DateOrderId"]["S"]) for row in rows) == Counter(
        (str(order["customer"]["id"]), f"{order['date']}-{order['id']}") for order in sent
    )
    assert Counter(int(document[0]) for document in shop.documents()) == Counter(ids)
    # an object, a queue: every order at least once
    stored = shop.backed_up()
    assert {order["id"] for order in stored} == ids
    assert not any(name.startswith("card-") for order in stored for name in order["payment"])
    assert set(shop.replayed()) == ids
