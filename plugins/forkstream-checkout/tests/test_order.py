from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from forkstream_checkout.order import Order

from forkstream.event import decode_json


def test_the_example_order_is_read_exactly(order_body: bytes) -> None:
    order = Order.read(decode_json(order_body))
    assert (order.id, order.date, order.customer.id) == (15311, "2018-12-15T23:41:11-08:00", 65144)
    assert (order.payment.id, str(order.payment.amount), order.payment.currency) == (2509, "450.00", "usd")
    assert order.quantity == 3


def test_an_order_without_card_data_shipping_and_name_is_still_an_order(order_body: bytes) -> None:
    data: Any = decode_json(order_body)
    del data["shipping"], data["status"], data["customer"]["name"]
    data["payment"] = {name: value for name, value in data["payment"].items() if not name.startswith("card-")}
    assert Order.read(data).payment.amount == Decimal("450.00")


@pytest.mark.parametrize(
    "amount", [b"0.1", b"1e2", b"450", b"-3.50", b"0", b"1e400", b"123456789012345678901234567890123456789.5"]
)
def test_every_exact_number_is_an_amount(order_body: bytes, amount: bytes) -> None:
    body = order_body.replace(b"450.00", amount)
    order = Order.read(decode_json(body))
    glanced = Order.of_body(body)
    assert glanced == order
    assert str(glanced.payment.amount) == str(order.payment.amount)
    assert order.payment.amount == Decimal(amount.decode())


@pytest.mark.parametrize(
    ("found", "instead", "path"),
    [
        (b'"amount": 450.00', b'"amount": "450"', "$.payment.amount"),
        (b'"amount": 450.00', b'"amount": true', "$.payment.amount"),
        (b'"amount": 450.00', b'"amount": null', "$.payment.amount"),
        (b'"amount": 450.00, ', b"", "$.payment"),
        (b'"id": 15311', b'"id": "15311"', "$.id"),
        (b'"id": 15311', b'"id": true', "$.id"),
        (b'"id": 15311', b'"id": 15311.0', "$.id"),
        (b'"id": 15311', b'"id": 18446744073709551616', "$.id"),
        (b'"id": 65144', b'"id": null', "$.customer.id"),
        (b'"quantity": 2', b'"quantity": 2.5', "$.items[1].quantity"),
        (b'"quantity": 2', b'"quantity": -2', "$.items[1].quantity"),
        (b'"2018-12-15T23:41:11-08:00"', b'""', "$.date"),
        (b'"2018-12-15T23:41:11-08:00"', b"1544946071", "$.date"),
        (b'"currency": "usd"', b'"currency": null', "$.payment.currency"),
    ],
)
def test_a_wrong_type_is_named_by_its_path_and_never_quoted(
    order_body: bytes, found: bytes, instead: bytes, path: str
) -> None:
    assert found in order_body
    assert Order.of_body(order_body.replace(found, instead)) is None
    with pytest.raises(msgspec.ValidationError) as refusal:
        Order.read(decode_json(order_body.replace(found, instead)))
    assert f"`{path}`" in str(refusal.value)
    assert "1544946071" not in str(refusal.value)


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"order"'])
def test_what_is_no_object_is_no_order(body: bytes) -> None:
    assert Order.of_body(body) is None
    with pytest.raises(msgspec.ValidationError):
        Order.read(decode_json(body))


def test_text_that_nobody_reads_must_be_text_too(order_body: bytes) -> None:
    assert Order.of_body(order_body.replace(b"confirmed", b"conf\xffirmed")) is None
