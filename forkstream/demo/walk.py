"""One walk through the exercises: what was posted, what was checked, and how to wait for what should come true."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from forkstream_checkout import generator

from forkstream.demo.buyers import Buyers
from forkstream.demo.service_process import ServiceProcess
from forkstream.demo.view import Check, View
from forkstream.errors import CommandError
from forkstream.event import encode_json

Order = dict[str, Any]

PATIENCE = 90.0
"""Seconds without any progress until something that should come true is given up."""
_LOOK_SECONDS = 0.1


class Walk:
    """Posts orders, waits and checks; ``checks`` holds what was looked at."""

    def __init__(self, service: ServiceProcess, buyers: Buyers, view: View) -> None:
        self.service = service
        self.view = view
        self._buyers = buyers
        # ids that go on from another demo's, so that nobody takes one's orders for the other's
        self._orders = generator.orders(random.randrange(2**32), start_id=int(time.time()) * 1000)  # noqa: S311  # no secrets
        self._exercise = ""
        self._started = 0.0
        self.posted: dict[int, Order] = {}
        """The orders that are to arrive everywhere, by id."""
        self.checks: list[Check] = []

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Begin a part; a command that fails ends it with a check that failed, and the walk goes on."""
        self._exercise = title.partition(":")[0]
        self._started = time.monotonic()
        self.view.title(title)
        try:
            yield
        except CommandError as error:
            self.check("it goes as it should", str(error), ok=False)

    def orders(self, count: int) -> list[Order]:
        """Make so many new orders."""
        return list(islice(self._orders, count))

    def post(self, count: int, meanwhile: Callable[[int], None] = lambda _: None) -> list[int]:
        """Post so many orders that are to arrive everywhere, and give their ids.

        ``meanwhile`` is called now and then with the number of those that were accepted.
        """
        orders = {order["id"]: order for order in self.orders(count)}
        self.post_bodies([encode_json(order) for order in orders.values()], meanwhile)
        self.posted |= orders
        return list(orders)

    def post_bodies(self, bodies: list[bytes], meanwhile: Callable[[int], None] = lambda _: None) -> None:
        """Post these bodies; raises :class:`CommandError` if the API does not take one."""
        with self.view.progress("posting orders", len(bodies)) as show, self._buyers.posting(bodies) as posting:
            while not posting.done:
                show(posting.accepted)
                meanwhile(posting.accepted)
                time.sleep(_LOOK_SECONDS / 2)

    def reaches(
        self, claim: str, count: Callable[[], int], goal: int, word: Callable[[int], str] | None = None
    ) -> bool:
        """Check that a count reaches its goal, and wait while it makes progress; ``word`` tells what a count means."""
        with self.view.progress(claim, goal) as show:
            found, deadline = -1, 0.0
            while True:
                asked = time.monotonic()
                last, found = found, count()
                show(found)
                now = time.monotonic()
                if found != last:
                    deadline = now + PATIENCE
                if found == goal or now > deadline:
                    break
                time.sleep(max(_LOOK_SECONDS, now - asked))  # looking costs the same cores that the service needs
        self.check(claim, word(found) if word else f"{found:,} of {goal:,}", ok=found == goal)
        return found == goal

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        """Wait for something that is no check of its own; raises :class:`CommandError` if it never comes."""
        deadline = time.monotonic() + PATIENCE
        with self.view.progress(what):
            while not condition():
                if time.monotonic() > deadline:
                    raise CommandError(f"not within {PATIENCE:.0f} s: {what}")
                time.sleep(_LOOK_SECONDS)

    def command(self, *arguments: str) -> str:
        """Give a command of forkstream, and say so; returns what it prints."""
        self.view.say(f"forkstream {shlex.join(arguments)}")
        with self.view.progress(f"forkstream {' '.join(arguments[:2])}"):
            return self.service.command(*arguments)

    def check(self, claim: str, found: str, *, ok: bool) -> None:
        """Note and show what was looked at; one that failed says how the forks stand and what they logged."""
        seconds = round(time.monotonic() - self._started, 1)
        check = Check(exercise=self._exercise, claim=claim, found=found, ok=ok, seconds=seconds)
        self.checks.append(check)
        self.view.show(check)
        if not ok:
            self.view.show_forks()
            self.view.say(self.service.log_tail())
