"""The exercises of the e-commerce application, walked through on the running shop; each says what it checks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from decimal import Decimal

from forkstream_checkout.generator import CARD_NUMBERS
from forkstream_checkout.table import BUG_SWITCH, CORRUPTED

from forkstream.demo.destinations import Destinations, Row
from forkstream.demo.walk import Order, Walk
from forkstream.event import encode_json
from forkstream.status import ForkStatus

SEARCHED_FROM = 100
"""Orders of this amount and more are searched, says the subscription's filter policy."""


class Exercises:
    """The exercises, in the order in which they are walked."""

    def __init__(self, walk: Walk, destinations: Destinations) -> None:
        self._walk = walk
        self._at = destinations
        self._refused = 0  # orders that are to arrive everywhere but in the table

    def first_order(self) -> None:
        """The way of one order from the API to the table."""
        with self._walk.part("The first order"):
            (order,) = self._walk.post(1)
            self._walk.reaches("it is a row of CheckoutTable", lambda: int(order in self._at.rows()), 1)

    def checkout(self, orders: int) -> None:
        """Exercise 1: each order is a row of CheckoutTable."""
        with self._walk.part(f"1 checkout: {orders:,} orders, each to be a row of CheckoutTable"):
            self._walk.post(orders)
            self._walk.reaches(
                "every order is a row, its amount exact", lambda: self._right_rows(self._walk.posted), self._all
            )

    def backup(self) -> None:
        """Exercise 2: they are in the backup bucket, and no object holds card data."""
        with self._walk.part("2 storage & backup: in the bucket, encrypted, without card data"):
            self._walk.reaches("every order is in the bucket", self._backed_up, self._all)
            contents = self._at.backup()
            clear = sum(not key.endswith(".encrypted") for key in contents)
            self._walk.check("every object is encrypted", f"{len(contents) - clear} of {len(contents)}", ok=not clear)
            leaks = sum(map(_holds_card_data, contents.values()))
            self._walk.check("no object holds card data", f"{leaks} of {len(contents)} do", ok=not leaks)

    def search(self) -> None:
        """Exercise 3: only orders of 100 and more can be found."""
        with self._walk.part(f"3 search & analytics: orders of {SEARCHED_FROM} and more, and no others"):
            self._walk.reaches("they can be found", self._found, len(self._to_find()))
            below = [amount for amount in self._at.search.amounts().values() if amount < SEARCHED_FROM]
            self._walk.check(f"none below {SEARCHED_FROM} can", f"{len(below)} found", ok=not below)

    def dead_letter(self) -> None:
        """An order that the table's sink refuses becomes a dead letter, and is sent again mended."""
        walk = self._walk
        with walk.part("An order that a sink refuses: a dead letter, mended and sent again"):
            (order,) = walk.orders(1)
            right, order["payment"]["id"] = order["payment"]["id"], "not a number"
            walk.view.say(f"order {order['id']}, its payment id a text: taken by the API")
            walk.post_bodies([encode_json(order)])
            self._refused += 1
            walk.wait("the order is refused", lambda: (fork := self._fork("checkout")) and fork.dead)
            letters = json.loads(walk.command("dlq", "list", "--fork", "checkout", "--json"))["letters"]
            walk.check("it is a dead letter", f"{len(letters)} letter", ok=len(letters) == 1)
            if not letters:
                return
            name = letters[0]["id"]
            letter = json.loads(walk.command("dlq", "show", name, "--fork", "checkout", "--json"))
            walk.check("which says why", f"{letter['code']} at {letter['step']}", ok=letter["code"] == "not_an_order")
            leak = _holds_card_data(letter["body"].encode())
            walk.check("and holds no card data", "it does" if leak else "none", ok=not leak)
            body = json.loads(letter["body"])
            body["payment"]["id"] = right
            mended = walk.service.log.parent / "mended.json"
            mended.write_text(json.dumps(body))
            walk.command("dlq", "redrive", name, "--fork", "checkout", "--body", str(mended))
            walk.reaches("mended and sent again, it is a row", lambda: int(order["id"] in self._at.rows()), 1)

    def replay(self, orders: int) -> None:
        """Exercise 4: rows that a bug corrupted are repaired by replaying their orders."""
        walk = self._walk
        with walk.part("4 replay: repair what a bug corrupted"):
            before = self._at.rows()
            walk.command("switch", BUG_SWITCH, "on")
            walk.wait("the service follows the switch", lambda: self._bug() is True)
            ids = walk.post(orders)
            walk.reaches("the bug corrupts their rows", lambda: self._corrupted(ids), len(ids))
            held = self._all + self._refused
            dead = self._dead()
            walk.reaches("the replay queue holds every order so far", lambda: self._at.waiting("replay"), held)
            walk.command("switch", BUG_SWITCH, "off")
            walk.wait("the service follows the switch", lambda: self._bug() is False)
            walk.command("resume", "replay")
            walk.reaches("their rows become right", lambda: self._right_rows(ids), len(ids))
            walk.reaches("the replay queue drains", lambda: held - self._at.waiting("replay"), held)
            walk.reaches(
                "an order refused before comes again as it was: refused again, a second dead letter of it",
                lambda: self._dead() - dead,
                self._refused,
            )
            changed = sum(row != before[order] for order, row in self._at.rows().items() if order in before)
            walk.check("no other row has changed", f"{changed} have", ok=not changed)
            walk.command("pause", "replay")
            walk.wait("replay is paused", lambda: (fork := self._fork("replay")) and fork.state == "paused")
            walk.post(5)
            walk.reaches("paused, it buffers again", lambda: self._at.waiting("replay"), 5)

    def kill(self, orders: int, kills: int = 10) -> None:
        """SIGKILL the service again and again under load: nothing is lost."""
        walk = self._walk
        orders -= orders % kills  # as many for each
        with walk.part(f"SIGKILL, {kills} times, while {orders:,} orders are posted"):
            with walk.view.progress("killed and started again", kills) as show:
                for number in range(kills):
                    show(number)
                    self._kill_once(orders // kills)
            posted = self._all
            walk.reaches(
                "orders lost on their way to CheckoutTable",
                lambda: self._right_rows(walk.posted),
                posted,
                lambda found: _lost(posted - found),
            )
            walk.reaches(
                "orders lost on their way to the bucket", self._backed_up, posted, lambda found: _lost(posted - found)
            )
            expected = len(self._to_find())
            walk.reaches(
                "orders lost on their way to search", self._found, expected, lambda found: _lost(expected - found)
            )
            given_up = self._at.given_up()
            walk.check("orders that a queue gave up", _lost(given_up), ok=not given_up)
            twice = sum(count > 1 for count in self._at.backed_up().values())
            walk.view.say(f"orders twice in the bucket, written but not yet deleted when killed: {twice:,}")

    def _kill_once(self, orders: int) -> None:
        """Kill the service at some moment while orders are posted, and start it again while they still are."""
        moment = random.uniform(0, orders)  # noqa: S311  # no secret
        killed = False

        def kill(accepted: int) -> None:
            nonlocal killed
            if not killed and accepted >= moment:
                self._walk.service.kill()
                self._walk.service.start()
                killed = True

        self._walk.post(orders, kill)
        kill(orders)  # they were posted faster than anyone looked

    def stop(self) -> None:
        """The service drains when it is told to end."""
        with self._walk.part("SIGTERM: the service drains, then ends"):
            code = self._walk.service.stop()
            self._walk.check("it ends in order", f"exit code {code}", ok=code == 0)

    # What is counted.

    @property
    def _all(self) -> int:
        return len(self._walk.posted)

    def _right_rows(self, ids: Iterable[int]) -> int:
        rows = self._at.rows()
        return sum(order in rows and _is_right(rows[order], self._walk.posted[order]) for order in ids)

    def _corrupted(self, ids: list[int]) -> int:
        rows = self._at.rows()
        return sum(order in rows and rows[order]["PaymentAmount"] == CORRUPTED for order in ids)

    def _backed_up(self) -> int:
        return len(self._at.backed_up().keys() & self._walk.posted.keys())

    def _to_find(self) -> set[int]:
        return {id_ for id_, order in self._walk.posted.items() if order["payment"]["amount"] >= SEARCHED_FROM}

    def _found(self) -> int:
        return len(self._at.search.amounts().keys() & self._to_find())

    def _fork(self, name: str) -> ForkStatus | None:
        return self._walk.service.fork(name)

    def _dead(self) -> int:
        fork = self._fork("checkout")
        return fork.dead if fork else 0

    def _bug(self) -> bool | None:
        status = self._walk.service.status()
        return status.switches.get(BUG_SWITCH) if status else None


def _is_right(row: Row, order: Order) -> bool:
    payment = order["payment"]
    if row["PaymentAmount"] == CORRUPTED:
        return False
    quantity = sum(item["quantity"] for item in order["items"])
    found = (row["PaymentCurrency"], Decimal(row["PaymentAmount"]), int(row["PaymentId"]), int(row["TotalQuantity"]))
    return found == (payment["currency"], payment["amount"], payment["id"], quantity)


def _lost(count: int) -> str:
    return "none" if count == 0 else f"{count:,}"


def _holds_card_data(content: bytes) -> bool:
    numbers = (number for numbers in CARD_NUMBERS.values() for number in numbers)
    return b'"card-' in content or any(number.encode() in content for number in numbers)
