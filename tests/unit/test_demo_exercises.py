"""The demo's checks find what is wrong: a shop in memory, broken in one place at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest

from forkstream.demo import walk as walking
from forkstream.demo.buyers import Buyers
from forkstream.demo.destinations import Destinations
from forkstream.demo.exercises import Exercises
from forkstream.demo.service_process import ServiceProcess
from forkstream.demo.view import View
from forkstream.demo.walk import Order, Walk
from forkstream.errors import CommandError
from forkstream.event import decode_json, encode_json


class Shop:
    """Buyers, service and destinations in one: every order posted is everywhere at once."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.table: dict[int, dict[str, str]] = {}
        self.objects: dict[str, bytes] = {}
        self.found: dict[int, float] = {}
        self.dead = 0
        self.open = True
        self.done = True
        self.accepted = 0

    @property
    def search(self) -> Shop:
        return self

    @contextmanager
    def posting(self, bodies: Sequence[bytes]) -> Iterator[Shop]:
        if not self.open:
            raise CommandError("the API did not take an order: status 502")
        for body in bodies:
            self._take(cast("Order", decode_json(body)))
        yield self

    def _take(self, order: Order) -> None:
        payment = order["payment"]
        self.orders.append(order)
        self.table[order["id"]] = {
            "PaymentId": str(payment["id"]),
            "PaymentAmount": str(payment["amount"]),
            "PaymentCurrency": payment["currency"],
            "TotalQuantity": str(sum(item["quantity"] for item in order["items"])),
        }
        kept = {name: value for name, value in payment.items() if not name.startswith("card-")}
        self.objects[f"orders/{order['id']}.ndjson.zst.encrypted"] = encode_json(order | {"payment": kept})
        if payment["amount"] >= 100:
            self.found[order["id"]] = float(payment["amount"])

    def rows(self) -> dict[int, dict[str, str]]:
        return self.table

    def backup(self) -> dict[str, bytes]:
        return self.objects

    def backed_up(self) -> Counter[int]:
        return Counter(cast("Order", decode_json(line))["id"] for line in self.objects.values())

    def amounts(self) -> dict[int, float]:
        return self.found

    def log_tail(self) -> str:
        return "its log"


Break = Callable[[Shop], object]


def an_order(shop: Shop, *, of_100: bool) -> Any:
    return next(order["id"] for order in shop.orders if (order["payment"]["amount"] >= 100) is of_100)


def an_object(shop: Shop) -> str:
    return next(iter(shop.objects))


def spoilt_row(field: str, value: str) -> Break:
    return lambda shop: shop.table[an_order(shop, of_100=True)].update({field: value})


def rename_object(shop: Shop) -> None:
    shop.objects["orders/clear.ndjson.zst"] = shop.objects.pop(an_object(shop))


def add_to_object(words: bytes) -> Break:
    return lambda shop: shop.objects.update({an_object(shop): shop.objects[an_object(shop)][:-1] + words + b"}"})


EXACT = "every order is a row, its amount exact"
STORED = "every order is in the bucket"
CLEAN = "no object holds card data"
FOUND = "they can be found"


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (lambda shop: shop.orders, []),
        (lambda shop: shop.table.popitem(), [EXACT]),
        (spoilt_row("PaymentAmount", "100.001"), [EXACT]),
        (spoilt_row("PaymentAmount", "CORRUPTED!"), [EXACT]),
        (spoilt_row("PaymentId", "0"), [EXACT]),
        (spoilt_row("PaymentCurrency", "xxx"), [EXACT]),
        (spoilt_row("TotalQuantity", "0"), [EXACT]),
        (lambda shop: shop.objects.popitem(), [STORED]),
        (rename_object, ["every object is encrypted"]),
        (add_to_object(b',"card-cvv":1'), [CLEAN]),
        (add_to_object(b',"note":"4111 1111 1111 1111"'), [CLEAN]),
        (lambda shop: shop.found.pop(an_order(shop, of_100=True)), [FOUND]),
        (lambda shop: shop.found.update({an_order(shop, of_100=False): 99.99}), ["none below 100 can"]),
    ],
)
def test_what_is_wrong_at_a_destination_fails_its_check_and_no_other(
    damage: Break, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "PATIENCE", 0.0)
    shop, walk, exercises = set_up()
    walk.post(40)
    damage(shop)
    exercises.checkout(0)
    exercises.backup()
    exercises.search()
    assert [check.claim for check in walk.checks if not check.ok] == wrong
    assert len(walk.checks) == 6


def test_an_exercise_that_cannot_go_on_is_a_check_that_failed_and_the_next_begins() -> None:
    shop, walk, exercises = set_up()
    shop.open = False
    exercises.checkout(3)
    exercises.backup()
    failed, *others = walk.checks
    assert (failed.exercise, failed.ok) == ("1 checkout", False)
    assert failed.found == "the API did not take an order: status 502"
    assert all(check.ok for check in others)


def test_a_check_that_failed_shows_what_the_service_said(capsys: pytest.CaptureFixture[str]) -> None:
    _, walk, _ = set_up()
    with walk.part("1 checkout: something"):
        walk.check("it is there", "it is not", ok=False)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "1 checkout: something",
        "  ✗ it is there: it is not",
        "  its log",
    ]


def set_up() -> tuple[Shop, Walk, Exercises]:
    shop = Shop()
    walk = Walk(cast("ServiceProcess", shop), cast("Buyers", shop), View())
    return shop, walk, Exercises(walk, cast("Destinations", shop))
