"""The exercises of the e-commerce application, walked through on the running shop; each says what it checks."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from forkstream_checkout.generator import CARD_NUMBERS, bodies

from forkstream.demo.buyers import Buyers
from forkstream.demo.destinations import Destinations
from forkstream.demo.service_process import ServiceProcess
from forkstream.demo.view import Check, View

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds until something that should come true is given up."""
CORRUPTED = "CORRUPTED!"


class Exercises:
    """Walks through the exercises in order; ``checks`` holds what was looked at."""

    def __init__(
        self, service: ServiceProcess, destinations: Destinations, buyers: Buyers, view: View, *, first_id: int
    ) -> None:
        self._service = service
        self._at = destinations
        self._buyers = buyers
        self._view = view
        self._bodies = bodies(random.randrange(2**32), start_id=first_id)  # noqa: S311  # orders, not secrets
        self._exercise = ""
        self.posted: dict[int, float] = {}
        """The amounts of the orders that are to arrive everywhere."""
        self._refused = 0  # orders that are to arrive everywhere but in the table
        self.checks: list[Check] = []

    # The exercises.

    def first_order(self, started: float) -> None:
        """The way of one order from the API to the table."""
        with self._part("The first order"):
            (order_id,) = self._post(1)
            self._until("it is a row of CheckoutTable", lambda: order_id in self._at.rows(), bool)
            self._check("since the start of the demo", f"{time.monotonic() - started:.1f} s", ok=True)

    def checkout(self, orders: int) -> None:
        """Exercise 1: each order is a row of CheckoutTable."""
        with self._part(f"1 checkout: {orders:,} orders, each to be a row of CheckoutTable"):
            self._post(orders)
            self._until(
                "every order is a row, its amount exact",
                lambda: sum(1 for row in self._at.rows().values() if row["PaymentAmount"] != CORRUPTED),
                lambda rows: rows == len(self.posted),
                lambda rows: f"{rows:,} of {len(self.posted):,}",
            )

    def backup(self) -> None:
        """Exercise 2: they are in the backup bucket, and no object holds card data."""
        with self._part("2 storage & backup: in the bucket, encrypted, without card data"):
            self._until(
                "every order is in the bucket",
                lambda: len(self._at.backed_up() & set(self.posted)),
                lambda found: found == len(self.posted),
                lambda found: f"{found:,} of {len(self.posted):,}",
            )
            contents = self._at.backup()
            leaks = sum(_holds_card_data(content) for content in contents)
            self._check("no object holds card data", f"{leaks} of {len(contents)} objects do", ok=not leaks)

    def search(self) -> None:
        """Exercise 3: only orders of 100 and more can be found."""
        with self._part("3 search & analytics: orders of 100 and more, and no others"):
            expected = {order for order, amount in self.posted.items() if amount >= 100}
            self._until(
                "they can be found",
                lambda: len(set(self._at.search.amounts()) & expected),
                lambda found: found == len(expected),
                lambda found: f"{found:,} of {len(expected):,}",
            )
            below = [amount for amount in self._at.search.amounts().values() if amount < 100]
            self._check("none below 100 can", f"{len(below)} found", ok=not below)

    def replay(self, orders: int) -> None:
        """Exercise 4: rows that a bug corrupted are repaired by replaying their orders."""
        config = str(self._service.config)
        with self._part("4 replay: repair what a bug corrupted"):
            self._service.command("switch", "checkout-bug", "on", config)
            self._view.say("forkstream switch checkout-bug on")
            self._wait(lambda: (status := self._service.status()) and status.switches.get("checkout-bug"))
            ids = self._post(orders)
            self._until(
                "the bug corrupts their rows",
                lambda: sum(self._corrupted(order) for order in ids),
                lambda bad: bad == len(ids),
                lambda bad: f"{bad:,} of {len(ids):,}",
            )
            self._until(
                "the replay queue holds every order so far",
                lambda: self._at.waiting("replay"),
                lambda held: held == len(self.posted) + self._refused,
                lambda held: f"{held:,} of {len(self.posted) + self._refused:,}",
            )
            self._service.command("switch", "checkout-bug", "off", config)
            self._view.say("forkstream switch checkout-bug off; forkstream resume replay")
            self._wait(lambda: (status := self._service.status()) and not status.switches.get("checkout-bug"))
            self._service.command("resume", "replay", config)
            self._until(
                "their rows become right",
                lambda: sum(self._corrupted(order) for order in ids),
                lambda bad: bad == 0,
                lambda bad: f"{bad:,} corrupted",
            )
            self._until("the replay queue drains", lambda: self._at.waiting("replay"), lambda held: held == 0)
            self._service.command("pause", "replay", config)
            self._view.say("forkstream pause replay")
            self._wait(lambda: (fork := self._service.fork("replay")) and fork.state == "paused")
            self._post(5)
            self._until("paused, it buffers again", lambda: self._at.waiting("replay"), lambda held: held == 5)

    def dead_letter(self) -> None:
        """An order that the table's sink refuses becomes a dead letter, and is sent again mended."""
        config = str(self._service.config)
        with self._part("An order that a sink refuses"):
            order = json.loads(next(self._bodies))
            right = order["payment"]["id"]
            order["payment"]["id"] = "not a number"
            self._buyers.post(json.dumps(order).encode())
            self._refused += 1
            self._view.say(
                f"order {order['id']}, whose payment id is text: the API takes it, the table's sink does not"
            )
            letters = self._until(
                "it is a dead letter", lambda: self._letters(order["id"]), bool, lambda found: f"{len(found)} letter"
            )
            if not letters:
                return
            letter = letters[0]
            self._check("which says why", f"{letter['code']} at {letter['step']}", ok=letter["code"] == "not_an_order")
            body = json.loads(letter["body"])
            leak = any(name.startswith("card-") for name in body["payment"])
            self._check("and holds no card data", "it does" if leak else "none", ok=not leak)
            body["payment"]["id"] = right
            mended = self._service.log.parent / "mended.json"
            mended.write_text(json.dumps(body))
            self._service.command(
                "dlq", "redrive", letter["letter"], config, "--fork", "checkout", "--body", str(mended)
            )
            self._view.say(f"forkstream dlq redrive {letter['letter']} --fork checkout --body mended.json")
            self._until("mended and sent again, it is a row", lambda: order["id"] in self._at.rows(), bool)

    def kill(self, orders: int, kills: int = 10) -> None:
        """SIGKILL the service again and again under load: nothing is lost."""
        with self._part(f"SIGKILL, {kills} times, while {orders:,} orders are posted"):
            moments = sorted(random.uniform(0, orders) for _ in range(kills))  # noqa: S311  # moments, not secrets
            posted = 0

            def between() -> None:
                nonlocal posted
                posted += 1
                if moments and posted >= moments[0]:
                    moments.pop(0)
                    self._service.kill()
                    self._service.start()

            self._post(orders, between)
            self._until(
                "orders lost on their way to CheckoutTable",
                lambda: len(set(self.posted) - set(self._at.rows())),
                lambda lost: lost == 0,
                _lost,
            )
            self._until(
                "orders lost on their way to the bucket",
                lambda: len(set(self.posted) - self._at.backed_up()),
                lambda lost: lost == 0,
                _lost,
            )
            expected = {order for order, amount in self.posted.items() if amount >= 100}
            self._until(
                "orders lost on their way to search",
                lambda: len(expected - set(self._at.search.amounts())),
                lambda lost: lost == 0,
                _lost,
            )
            given_up = self._at.given_up()
            self._check("orders that a queue gave up", str(given_up), ok=not given_up)

    # How they are walked.

    def _post(self, count: int, between: Callable[[], None] = lambda: None) -> list[int]:
        orders = list(islice(self._bodies, count))
        progress, done = self._view.counting("posting orders", count), 0

        def posted() -> None:
            nonlocal done
            done += 1
            progress(done)
            between()

        self._buyers.post_all(orders, posted)
        decoded = [json.loads(order) for order in orders]
        self.posted |= {order["id"]: order["payment"]["amount"] for order in decoded}
        return [order["id"] for order in decoded]

    def _corrupted(self, order: int) -> bool:
        row = self._at.rows().get(order)
        return row is not None and row["PaymentAmount"] == CORRUPTED

    def _letters(self, order: int) -> list[dict[str, str]]:
        listed = json.loads(
            self._service.command("dlq", "list", str(self._service.config), "--fork", "checkout", "--json")
        )
        shown = [
            json.loads(
                self._service.command(
                    "dlq", "show", letter["letter"], str(self._service.config), "--fork", "checkout", "--json"
                )
            )
            for letter in listed["letters"]
        ]
        return [letter for letter in shown if json.loads(letter["body"])["id"] == order]

    @contextmanager
    def _part(self, title: str) -> Iterator[None]:
        self._exercise = title.partition(":")[0]
        self._started = time.monotonic()
        self._view.title(title)
        yield

    def _until(
        self,
        claim: str,
        look: Callable[[], T],
        right: Callable[[T], bool],
        word: Callable[[T], str] = lambda found: "yes" if found is True else f"{found}",
    ) -> T:
        """Look again and again until what is found is right, or patience ends; that is a check."""
        deadline = time.monotonic() + PATIENCE
        while not right(found := look()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self._check(claim, word(found), ok=right(found))
        return found

    def _wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _check(self, claim: str, found: str, *, ok: bool) -> None:
        check = Check(
            exercise=self._exercise, claim=claim, found=found, ok=ok, seconds=round(time.monotonic() - self._started, 1)
        )
        self.checks.append(check)
        self._view.show(check)


def _lost(count: int) -> str:
    return "none" if count == 0 else f"{count:,}"


def _holds_card_data(content: bytes) -> bool:
    numbers = (number for numbers in CARD_NUMBERS.values() for number in numbers)
    return b'"card-' in content or any(number.encode() in content for number in numbers)
