"""Orders as a shop gets them: seeded, endless, with a realistic spread of amounts, sizes and customers."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from forkstream.event import Json, encode_json

CARD_NUMBERS = {
    "visa": ("4111 1111 1111 1111", "4012 8888 8888 1881"),
    "mastercard": ("5555 5555 5555 4444", "5105 1051 0510 5100"),
    "amex": ("3782 822463 10005", "3714 496353 98431"),
    "discover": ("6011 1111 1111 1117", "6011 0009 9013 9424"),
}
"""The networks' published test cards, which pass the Luhn check: every order holds one, so a scan can look for them."""

_CUSTOMERS = 10_000
_ZIPF = 0.8  # the thousandth customer buys 250 times less often than the first
_SIGMA = 1.0
_MEDIAN = 100 * math.exp(-0.2533 * _SIGMA)  # so that 40 % of the amounts are 100 or more
_CURRENCIES = {"usd": 60, "eur": 25, "gbp": 10, "cad": 5}
_CARRIERS = {"courier": 2, "post": 5, "pickup": 1}
_FIRST_NAMES = ["Ada", "Björn", "Chidi", "Dilara", "Emilia", "Farah", "Goran", "Hana", "Ines", "John", "Kofi", "Léa"]
_LAST_NAMES = ["Doe", "Eriksson", "Fofana", "García", "Haddad", "Ivanova", "Jansen", "Kim", "Lund", "Moreau", "Ng"]
_PRODUCTS = tuple(
    f"{kind} - {make} - {size}"
    for kind in ("Hockey Jersey", "Hockey Puck", "Skates", "Helmet", "Stick Tape", "Water Bottle", "Gloves")
    for make in ("Canucks", "Bauer", "Oilers", "Flames")
    for size in ("Small", "Medium", "Large")
)  # fmt: skip
_POOL = 4096
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def orders(seed: int, *, start_id: int = 1, since: datetime = _SINCE) -> Iterator[dict[str, Json]]:
    """Yield orders without end: ids count up from ``start_id``, dates go on from ``since``, all else follows the seed.

    Amounts are log-normal and 40 % of them are 100 or more; an order has 1 to 8 items, whose subtotals are its amount;
    customers come back by Zipf's law.
    """
    # not for secrets: a seed has to give the same orders again
    dice = random.Random(seed)  # noqa: S311
    popularity = list(itertools.accumulate(rank**-_ZIPF for rank in range(1, _CUSTOMERS + 1)))
    moment = since
    for order_id in itertools.count(start_id):
        moment += timedelta(seconds=dice.expovariate(1 / 30))
        (rank,) = dice.choices(range(_CUSTOMERS), cum_weights=popularity)
        items = _items(dice)
        yield {
            "id": order_id,
            "date": moment.astimezone(timezone(timedelta(hours=rank % 20 - 8))).isoformat(timespec="seconds"),
            "status": "confirmed",
            "customer": _customer(rank),
            "payment": _payment(dice, rank, sum((cents for _, _, cents in items), 0)),
            "shipping": {
                "id": dice.randrange(10**4, 10**6),
                "time": dice.randint(1, 9),
                "unit": "days",
                "method": _weighted(dice, _CARRIERS),
            },
            "items": [_item(dice, quantity, price) for quantity, price, _ in items],
        }


def bodies(seed: int, *, start_id: int = 1) -> Iterator[bytes]:
    """Yield orders as JSON, fast: a pool of 4,096 different ones is rendered first, then only the ids change."""
    heads = b'{"id":1'
    pool = [encode_json(order | {"id": 1}).removeprefix(heads) for order in itertools.islice(orders(seed), _POOL)]
    for order_id, tail in zip(itertools.count(start_id), itertools.cycle(pool), strict=False):
        yield b'{"id":%d%b' % (order_id, tail)


def _items(dice: random.Random) -> list[tuple[int, int, int]]:
    """Split an amount over 1 to 8 items: quantity, price and subtotal of each, in cents."""
    total = max(100, round(dice.lognormvariate(math.log(_MEDIAN), _SIGMA) * 100))
    shares = [dice.random() + 0.1 for _ in range(min(8, 1 + int(dice.expovariate(0.6))))]
    items = []
    for share in shares:
        quantity = min(5, 1 + int(dice.expovariate(1.2)))
        price = max(1, round(total * share / sum(shares) / quantity))
        items.append((quantity, price, quantity * price))
    return items


def _item(dice: random.Random, quantity: int, price: int) -> dict[str, Json]:
    return {
        "id": dice.randrange(10**3, 10**6),
        "product": dice.randrange(10**3, 10**4),
        "name": dice.choice(_PRODUCTS),
        "quantity": quantity,
        "price": _money(price),
        "subtotal": _money(quantity * price),
    }


def _customer(rank: int) -> dict[str, Json]:
    return {"id": 10_000 + rank, "name": _name(rank), "email": f"buyer.{rank}@example.com"}


def _payment(dice: random.Random, rank: int, cents: int) -> dict[str, Json]:
    network = dice.choice(list(CARD_NUMBERS))
    return {
        "id": dice.randrange(10**3, 10**9),
        "amount": _money(cents),
        "currency": _weighted(dice, _CURRENCIES),
        "method": "credit",
        "card-network": network,
        "card-number": dice.choice(CARD_NUMBERS[network]),
        "card-expiry": f"{dice.randint(1, 12):02}/{dice.randint(2027, 2032)}",
        "card-owner": _name(rank),
        "card-cvv": f"{dice.randrange(1000):03}",
    }


def _name(rank: int) -> str:
    return f"{_FIRST_NAMES[rank % len(_FIRST_NAMES)]} {_LAST_NAMES[rank // len(_FIRST_NAMES) % len(_LAST_NAMES)]}"


def _weighted(dice: random.Random, weights: dict[str, int]) -> str:
    (choice,) = dice.choices(list(weights), list(weights.values()))
    return choice


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
