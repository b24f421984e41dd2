"""The bodies of the messages that are dealt: orders of the shop, or what a file holds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from forkstream.errors import CommandError
from forkstream.event import Json, encode_json

POOL = 8192
"""How many different orders there are; more than a compressor of objects remembers."""


def write_bodies(target: Path, events: Path | None) -> str:
    """Write one body a line to ``target``, those of ``events`` or made-up orders; says what they are."""
    if events is None:
        lines = [encode_json(order) for order in itertools.islice(_orders(), POOL)]
        told = f"{POOL:,} different orders"
    else:
        lines = _of_file(events)
        told = f"{len(lines):,} different events of {events}"
    target.write_bytes(b"\n".join(lines))
    return f"{told}, {sum(map(len, lines)) / len(lines):.0f} bytes on average"


def _of_file(events: Path) -> list[bytes]:
    try:
        lines = [line for line in events.read_bytes().split(b"\n") if line.strip()]
    except OSError as error:
        raise CommandError(f"--events: {events}: {error.strerror}") from None
    if not lines:
        raise CommandError(f"--events: {events} is empty: give a file with one event a line, as JSON")
    try:
        for line in lines:
            line.decode()
    except UnicodeDecodeError:
        raise CommandError(
            f"--events: {events} holds a line that is no text in UTF-8, which SQS would not take"
        ) from None
    return lines


def _orders() -> Iterator[Json]:
    if find_spec("forkstream_checkout") is not None:
        from forkstream_checkout.generator import orders  # noqa: PLC0415  # a plugin need not be installed

        yield from orders(1)
    else:
        yield from plain_orders(1)


def plain_orders(seed: int) -> Iterator[Json]:
    """Yield orders of the same shape and size without end, where the shop's own generator is not installed."""
    dice = random.Random(seed)  # noqa: S311  # not for secrets
    words = [f"{kind} - {size}" for kind in ("Jersey", "Puck", "Skates", "Helmet", "Gloves") for size in "SML"]
    for number in itertools.count(1):
        rank = dice.randrange(10_000)
        items: list[Json] = [
            {
                "id": dice.randrange(10**6),
                "name": dice.choice(words),
                "quantity": dice.randint(1, 5),
                "price": dice.randrange(100, 50_000),
            }
            for _ in range(dice.randint(1, 6))
        ]
        yield {
            "id": number,
            "date": f"2026-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}T{dice.randint(10, 23)}:00:00+00:00",
            "status": "confirmed",
            "customer": {"id": 10_000 + rank, "name": f"Buyer {rank}", "email": f"buyer.{rank}@example.com"},
            "payment": {
                "id": dice.randrange(10**9),
                "amount": dice.randrange(1, 100_000),
                "currency": dice.choice(["usd", "eur", "gbp"]),
                "method": "credit",
                "card-network": "visa",
                "card-number": "4111 1111 1111 1111",
                "card-expiry": f"{dice.randint(1, 12):02}/2030",
                "card-owner": f"Buyer {rank}",
                "card-cvv": f"{dice.randrange(1000):03}",
            },
            "shipping": {"id": dice.randrange(10**6), "time": dice.randint(1, 9), "unit": "days", "method": "post"},
            "items": items,
        }
