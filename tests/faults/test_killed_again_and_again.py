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
from tests.faults.shop import NAMES, Shop
from tests.faults.site import Site
from tests.faults.warm_start import WarmStart, warm_start

pytestmark = pytest.mark.usefixtures("unmeasured")

ORDERS = 5000
SHARE = 170
"""Orders that every queue has, and more, when a service starts that will be killed."""


class Instant(msgspec.Struct, frozen=True):
    """When a service dies: ``delay`` seconds after its ``count``-th request, of this action and fork or of any.

    Counted in requests, not in seconds, an instant is much the same on every machine. ``answered`` says whether AWS
    still gets to see that request.
    """

    count: int
    action: str = ""
    fork: str = ""
    delay: float = 0.0
    answered: bool = False

    def counts(self, request: Request) -> bool:
        """Tell whether this is a request to count."""
        return self.action in {"", request.action} and self.fork in request.about


def instants(dice: random.Random) -> list[Instant]:
    """Thirty instants: twelve between a durable write and its delete, three of each fork; nine at a write; nine anywhere."""
    deletes = [
        Instant(dice.randint(1, SHARE // 10), "DeleteMessageBatch", name, dice.choice([0.0, dice.uniform(0, 0.05)]))
        for name in NAMES * 3
    ]
    # a share is put as one object, in seven batches of rows and in 17 of messages
    writes = [
        Instant(dice.randint(1, most), action, fork, dice.uniform(0, 0.05), dice.random() < 0.5)
        for action, fork, most in [
            ("PutObject", "backup", 1),
            ("BatchWriteItem", "checkout", 5),
            ("SendMessageBatch", "replay", 12),
        ]
        * 3
    ]
    # a start takes 15 requests, all of a share 150 at least
    anywhere = [Instant(dice.randint(1, 150), "", "", dice.uniform(0, 0.1), dice.random() < 0.5) for _ in range(9)]
    chosen = [*deletes, *writes, *anywhere]
    dice.shuffle(chosen)
    return chosen


@pytest.fixture
def shop(site: Site) -> Shop:
    return Shop(site)


@pytest.fixture
def warm(site: Site) -> Iterator[WarmStart]:
    with warm_start() as warm:
        yield warm


@pytest.mark.timeout(500)
def test_thirty_kills_lose_no_order(shop: Shop, relay: Relay, warm: WarmStart, seed: int) -> None:
    source, sent = bodies(seed), list[bytes]()

    def post(count: int) -> None:
        orders = list(islice(source, count))
        shop.post(orders)
        sent.extend(orders)

    for instant in instants(random.Random(seed)):
        # no more than needed: the embedded AWS is slow with deep queues
        if min(queue.visible for name, queue in shop.queues.items() if instant.fork in name) < SHARE:
            post(SHARE)
        with killed_at(instant, relay, warm, shop.config) as killed:
            assert killed.wait(120), instant
        shop.replayed()
    with serving(shop.config):
        while len(sent) < ORDERS:
            wait_until(lambda: shop.left < 10 * SHARE, 120, lambda: shop.left)
            post(min(3 * SHARE, ORDERS - len(sent)))
        wait_until(lambda: not shop.left, 120, lambda: shop.left)

    _assert_everything_arrived(shop, sent)


@pytest.mark.timeout(500)
def test_two_services_on_the_same_queues_one_of_them_killed(
    shop: Shop, relay: Relay, warm: WarmStart, seed: int
) -> None:
    dice = random.Random(seed)
    source, sent = bodies(seed), list[bytes]()
    # the database of the search fork has room for one process
    some = [option for name in ("checkout", "backup", "replay") for option in ("--fork", name)]

    with serving(shop.config):
        for _ in range(4):
            instant = Instant(dice.randint(1, 20), "DeleteMessageBatch")
            with killed_at(instant, relay, warm, shop.config, *some) as killed:
                while not killed.wait(0.2):
                    sent += (orders := list(islice(source, 50)))
                    shop.post(orders)
        wait_until(lambda: not shop.left, 120, lambda: shop.left)

    _assert_everything_arrived(shop, sent)


@contextmanager
def killed_at(
    instant: Instant, relay: Relay, warm: WarmStart, config: Path, *options: str
) -> Iterator[threading.Event]:
    """Run a service that is killed at the instant, which sets the event, or at the end of the block."""
    killed = threading.Event()
    requests = 0

    def kill() -> None:
        service.process.kill()
        killed.set()

    async def step(request: Request, pass_on: Handler) -> Answer:
        nonlocal requests
        counts = instant.counts(request)
        requests += counts
        if counts and requests == instant.count:
            asyncio.get_running_loop().call_later(instant.delay, kill)
        elif not counts or requests < instant.count or not instant.action:
            return await pass_on(request)
        return await pass_on(request) if instant.answered else HANG_UP  # and what repeats it is not heard either

    relay.step = step
    # its long polls last a second: the embedded AWS goes on with those of the dead, and gives them messages
    environment = {"AWS_ENDPOINT_URL": relay.url, "FORKSTREAM_STOP_TIMEOUT": "8s"}
    service = ServiceProcess(config, *options, environment=environment, warm=warm)
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
