"""Claims: who sends a letter again, decided once by the one thing that every store does atomically, creating an object.

    (nothing) ─ claimed ─┬─ sent, dropped   never again
                         ├─ failed          the next attempt may be claimed
                         └─ (nothing)       interrupted: sent or not, nobody knows

A claim is durable before its letter is sent, so that no crash, and no second operator, can send it twice. The price: a
letter whose redrive was cut off is not sent again by itself, even if it had not been sent.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import msgspec

from forkstream.dlq.patiently import patiently
from forkstream.dlq.shelf import Shelf
from forkstream.dlq.standing import Mark, Marker, Standing


class Claim(msgspec.Struct, frozen=True):
    """The right to send one letter once. ``place`` is what its markers' keys begin with."""

    letter: str
    attempt: int
    place: str


class Claims:
    """The claims on letters, as markers on a shelf. ``run`` names this run of the command, like no other."""

    def __init__(self, shelf: Shelf, run: str) -> None:
        self._shelf = shelf
        self._run = run
        self._markers: dict[str, dict[str, Marker]] = {}

    def learn(self, key: str) -> None:
        """Take a key from a listing; what is no marker's is left alone."""
        marker = Marker.parse(key.rpartition("/")[2])
        if marker:
            self._markers.setdefault(marker.letter, {})[key] = marker

    def standing(self, letter: str) -> Standing:
        """Tell how a letter stands, as far as its markers are known."""
        return Standing.of(self._markers.get(letter, {}).values())

    async def claim(self, letter: str, place: str) -> Claim | None:
        """Claim a letter's next attempt; None if somebody else has."""
        claim = Claim(letter, self.standing(letter).attempts + 1, place)
        return claim if await self._mark(claim, Mark.CLAIMED) else None

    async def finish(self, claim: Claim, mark: Mark, code: str = "") -> None:
        """Say durably what became of a claimed letter."""
        await self._mark(claim, mark, code)

    async def history(self, letter: str) -> list[dict[str, Any]]:
        """Tell what was done with a letter, when and from where, the first thing first."""
        contents = [await patiently(lambda: self._shelf.get(key)) for key in self._markers.get(letter, {})]  # noqa: B023  # called at once
        return sorted(map(msgspec.json.decode, contents), key=lambda content: float(content["at"]))

    async def _mark(self, claim: Claim, mark: Mark, code: str = "") -> bool:
        marker = Marker(claim.letter, claim.attempt, mark, code)
        key = claim.place + marker.name
        content = {
            "letter": claim.letter,
            "attempt": claim.attempt,
            "mark": mark.value,
            "code": code,
            "at": time.time(),
            "by": f"{socket.gethostname()}:{os.getpid()}",
            "run": self._run,
        }
        data = msgspec.json.encode(content)
        created = await patiently(lambda: self._shelf.create(key, data))
        if created:
            self.learn(key)
        return created
