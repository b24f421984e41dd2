"""The four exercises of the e-commerce application, on AWS's public API: they would pass against AWS as they stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from forkstream_checkout.generator import CARD_NUMBERS
from opensearchpy import NotFoundError, OpenSearch

from forkstream.demo.application import DEPLOY
from forkstream.demo.overlay import overlaid
from forkstream.demo.service_process import ServiceProcess
from tests.acceptance.shop import Order, Shop, until

FETCH_SECONDS = 600
"""The first test on a machine that needs OpenSearch waits for its installation."""


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[ServiceProcess]:
    """All forks but search, which each of its tests runs with a sink of its own."""
    quickly = {"FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE": "1s"}
    with shop.serving("checkout", "storage-backup", "replay", environment=quickly) as service:
        yield service


def right_row(order: Order) -> dict[str, Decimal | str]:
    return {
        "CustomerId": str(order["customer"]["id"]),
        "DateOrderId": f"{order['date']}-{order['id']}",
        "PaymentId": Decimal(order["payment"]["id"]),
        "PaymentAmount": order["payment"]["amount"],
        "PaymentCurrency": order["payment"]["currency"],
        "TotalQuantity": Decimal(sum(item["quantity"] for item in order["items"])),
    }


def corrupted_row(order: Order) -> dict[str, Decimal | str]:
    spoilt = ("PaymentId", "PaymentAmount", "PaymentCurrency", "TotalQuantity")
    return right_row(order) | dict.fromkeys(spoilt, "CORRUPTED!")


def without_card(order: Order) -> Order:
    payment = {name: value for name, value in order["payment"].items() if not name.startswith("card-")}
    return order | {"payment": payment}


def ids(orders: Collection[Order]) -> set[int]:
    return {order["id"] for order in orders}


def all_are(expected: Callable[[Order], object], shop: Shop, orders: list[Order]) -> bool:
    return all(shop.row(order) == expected(order) for order in orders)


def test_exercise_1_every_order_becomes_a_row_of_the_table(shop: Shop, service: ServiceProcess) -> None:
    orders = shop.post("0.01", "12.30", "99.99", "100.00", "450", "1234567.89")
    until(lambda: all(map(shop.row, orders)), "every order is a row")
    for order in orders:
        assert shop.row(order) == right_row(order)


def test_exercise_2_every_order_is_in_the_backup_bucket_and_no_object_holds_card_data(
    shop: Shop, service: ServiceProcess
) -> None:
    orders = shop.post("12.30", "99.99", "100.00", "450.00")

    def backed_up() -> dict[int, Order]:
        lines = [line for content in shop.backup().values() for line in content.splitlines()]
        return {order["id"]: order for order in (json.loads(line, parse_float=Decimal) for line in lines)}

    until(lambda: ids(orders) <= backed_up().keys(), "every order is in the bucket")
    found = backed_up()
    for order in orders:
        assert found[order["id"]] == without_card(order)
    names = {name for order in orders for name in order["payment"] if name.startswith("card-")}
    numbers = {number for numbers in CARD_NUMBERS.values() for number in numbers}
    assert names
    contents = b"".join(shop.backup().values())
    assert not [word for word in names | numbers if word.encode() in contents]


def search_exercise(shop: Shop, search: Callable[[], set[int]]) -> None:
    below = shop.post("0.01", "99.99", "50")
    above = shop.post("100", "100.00", "100.01", "450.00")
    until(lambda: ids(above) <= search(), "orders of 100 and more can be found")
    until(lambda: shop.waiting("search-analytics") == 0, "the search queue is empty")
    assert not search() & ids(below)


def test_exercise_3_only_orders_of_100_and_more_are_found_in_the_embedded_analytics(
    shop: Shop, service: ServiceProcess, tmp_path: Path
) -> None:
    config, file = tmp_path / "forkstream.yaml", tmp_path / "analytics.duckdb"
    config.write_text(overlaid(DEPLOY / "ecommerce.yaml", DEPLOY / "embedded-search.yaml"))

    def search() -> set[int]:
        try:
            with duckdb.connect(str(file), read_only=True) as database:
                rows = database.sql("SELECT id, amount FROM orders WHERE amount > 0").fetchall()
        except duckdb.Error:  # a write is under way, or there was none yet
            return set()
        assert all(amount >= 100 for _, amount in rows)
        return {int(order_id) for order_id, _ in rows}

    with shop.serving("search-analytics", config=config, environment={"ANALYTICS_FILE": str(file)}):
        search_exercise(shop, search)


@pytest.mark.timeout(FETCH_SECONDS)
def test_exercise_3_only_orders_of_100_and_more_are_found_in_opensearch(
    shop: Shop, service: ServiceProcess, opensearch: str, unique: str
) -> None:
    own_index = {"FORKSTREAM_FORKS__SEARCH_ANALYTICS__STAGES__1__INDEX__NAME": unique, "OPENSEARCH_URL": opensearch}
    with OpenSearch(opensearch) as client, shop.serving("search-analytics", environment=own_index):

        def search() -> set[int]:
            found: set[int] = set()
            query = {"query": {"range": {"payment.amount": {"gt": 0}}}}
            try:
                client.indices.refresh(index=unique)
                hits = client.search(index=unique, body=query, size=1000)["hits"]["hits"]
            except NotFoundError:  # the first document makes the index
                return found
            assert all(hit["_source"]["payment"]["amount"] >= 100 for hit in hits)
            return {hit["_source"]["id"] for hit in hits}

        search_exercise(shop, search)


def test_exercise_4_rows_that_a_bug_corrupted_are_repaired_by_a_replay(shop: Shop, service: ServiceProcess) -> None:
    config = str(shop.config)
    earlier = shop.post("450.00", "12.30")
    until(lambda: all_are(right_row, shop, earlier), "the orders before are rows")

    service.command("switch", "checkout-bug", "on", config)
    until(lambda: (status := service.status()) and status.switches.get("checkout-bug"), "the switch is on")
    orders = shop.post("450.00", "12.30", "100.00")
    until(lambda: all_are(corrupted_row, shop, orders), "their rows are corrupted")
    until(lambda: shop.waiting("replay") == shop.accepted, "the replay queue holds every order")

    service.command("switch", "checkout-bug", "off", config)
    until(lambda: (status := service.status()) and not status.switches.get("checkout-bug"), "the switch is off")
    assert all_are(corrupted_row, shop, orders)

    service.command("resume", "replay", config)
    until(lambda: all_are(right_row, shop, orders), "their rows become right")
    until(lambda: shop.waiting("replay") == 0, "the replay queue drains")
    assert all_are(right_row, shop, earlier)

    service.command("pause", "replay", config)
    until(lambda: (fork := service.fork("replay")) and fork.state == "paused", "replay is paused")
    later = shop.post("99.99", "100.00")
    until(lambda: all_are(right_row, shop, later), "orders go on to be rows")
    until(lambda: shop.waiting("replay") == len(later), "the replay queue buffers again")
