from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from forkstream_checkout.generator import CARD_NUMBERS, bodies, orders
from forkstream_checkout.order import Order

from forkstream.event import decode_json, encode_json


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    return list(itertools.islice(orders(7), 4000))


def luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number.replace(" ", ""))]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_a_seed_gives_the_same_orders_again() -> None:
    first, again, other = (list(itertools.islice(orders(seed), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_ids_count_up_from_the_first() -> None:
    assert [order["id"] for order in itertools.islice(orders(1, start_id=500), 3)] == [500, 501, 502]
    ids = [Order.read(decode_json(body)).id for body in itertools.islice(bodies(1, start_id=500), 5000)]
    assert ids == list(range(500, 5500))


def test_four_orders_in_ten_are_of_100_and_more(made: list[dict[str, Any]]) -> None:
    share = sum(order["payment"]["amount"] >= 100 for order in made) / len(made)
    assert 0.36 < share < 0.44
    rendered = [Order.read(decode_json(body)).payment.amount for body in itertools.islice(bodies(7), 4000)]
    assert 0.36 < sum(amount >= 100 for amount in rendered) / len(rendered) < 0.44


def test_an_amount_is_the_exact_sum_of_its_items(made: list[dict[str, Any]]) -> None:
    for order in made:
        assert 1 <= len(order["items"]) <= 8
        assert all(item["subtotal"] == item["price"] * item["quantity"] for item in order["items"])
        assert order["payment"]["amount"] == sum(item["subtotal"] for item in order["items"])
        assert order["payment"]["amount"].as_tuple().exponent == -2


def test_every_size_of_order_comes_up(made: list[dict[str, Any]]) -> None:
    assert Counter(len(order["items"]) for order in made).keys() == set(range(1, 9))


def test_customers_come_back_and_a_few_of_them_often(made: list[dict[str, Any]]) -> None:
    purchases = Counter(order["customer"]["id"] for order in made)
    assert 1000 < len(purchases) < len(made)
    (_, most), *_ = purchases.most_common(1)
    assert most > 10 * len(made) / len(purchases)
    names = {order["customer"]["id"]: order["customer"]["name"] for order in made}
    assert all(order["customer"]["name"] == names[order["customer"]["id"]] for order in made)


def test_every_order_holds_a_test_card_that_passes_the_luhn_check(made: list[dict[str, Any]]) -> None:
    known = {number for numbers in CARD_NUMBERS.values() for number in numbers}
    assert all(luhn(number) for number in known)
    assert {order["payment"]["card-number"] for order in made} == known


def test_dates_go_on(made: list[dict[str, Any]]) -> None:
    dates = [order["date"] for order in made]
    assert len({date[-6:] for date in dates}) > 10, "orders come from many time zones"
    assert len(set(dates)) > len(dates) * 0.9


def test_an_order_survives_json_exactly(made: list[dict[str, Any]]) -> None:
    for order in made[:100]:
        assert decode_json(encode_json(order)) == order
        assert str(order["payment"]["amount"]).encode() in encode_json(order)
