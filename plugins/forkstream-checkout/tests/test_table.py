from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from forkstream_checkout.generator import bodies
from forkstream_checkout.table import BUG_SWITCH, CheckoutTable, CheckoutTableConfig

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Event, FailureKind
from forkstream.ports import Context, Switches

Rows: TypeAlias = Callable[[], list[dict[str, Any]]]

RIGHT = {
    "CustomerId": {"S": "65144"},
    "DateOrderId": {"S": "2018-12-15T23:41:11-08:00-15311"},
    "PaymentId": {"N": "2509"},
    "PaymentAmount": {"N": "450"},
    "PaymentCurrency": {"S": "usd"},
    "TotalQuantity": {"N": "3"},
}
CORRUPTED = {
    **{column: RIGHT[column] for column in ("CustomerId", "DateOrderId")},
    **{
        column: {"S": "CORRUPTED!"} for column in ("PaymentId", "PaymentAmount", "PaymentCurrency", "TotalQuantity")
    },
}  # fmt: skip


@pytest.fixture
def table(aws: EmbeddedAws, unique: str) -> str:
    boto3.client("dynamodb").create_table(
        TableName=unique,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "CustomerId", "AttributeType": "S"},
            {"AttributeName": "DateOrderId", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "CustomerId", "KeyType": "HASH"},
            {"AttributeName": "DateOrderId", "KeyType": "RANGE"},
        ],
    )
    return unique


@pytest.fixture
def rows(table: str) -> Rows:
    return lambda: boto3.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]


@pytest.fixture
def switches() -> Switches:
    return Switches()


@pytest.fixture
async def sink(table: str, switches: Switches) -> AsyncIterator[CheckoutTable]:
    async with CheckoutTable(CheckoutTableConfig(table=table), Context(fork="checkout", switches=switches)) as opened:
        yield opened


def order(body: bytes, event_id: str = "m-1") -> Event:
    return Event(body, id=event_id)


async def test_an_order_is_a_row_with_exact_numbers(sink: CheckoutTable, rows: Rows, order_body: bytes) -> None:
    assert await sink.write([order(order_body)]) == []
    (row,) = rows()
    assert row == RIGHT


async def test_an_amount_keeps_each_of_its_38_digits(sink: CheckoutTable, rows: Rows, order_body: bytes) -> None:
    amount = "123456789012345678901234567890123456.78"
    assert await sink.write([order(order_body.replace(b"450.00", amount.encode()))]) == []
    (row,) = rows()
    assert row["PaymentAmount"] == {"N": amount}


async def test_the_bug_switch_is_read_at_each_write(
    sink: CheckoutTable, rows: Rows, switches: Switches, order_body: bytes
) -> None:
    switches.states[BUG_SWITCH] = True
    assert await sink.write([order(order_body)]) == []
    assert rows() == [CORRUPTED]
    switches.states[BUG_SWITCH] = False
    assert await sink.write([order(order_body, "m-2")]) == []
    assert rows() == [RIGHT]


async def test_the_config_decides_while_nobody_has_turned_the_switch(
    table: str, rows: Rows, switches: Switches, order_body: bytes
) -> None:
    config = CheckoutTableConfig(table=table, bug_enabled=True)
    async with CheckoutTable(config, Context(fork="checkout", switches=switches)) as sink:
        await sink.write([order(order_body)])
        assert rows() == [CORRUPTED]
        switches.states[BUG_SWITCH] = False
        await sink.write([order(order_body)])
        assert rows() == [RIGHT]


async def test_a_late_corrupted_write_leaves_a_repaired_row_as_it_is(
    sink: CheckoutTable, rows: Rows, switches: Switches, order_body: bytes
) -> None:
    await sink.write([order(order_body)])
    switches.states[BUG_SWITCH] = True
    assert await sink.write([order(order_body, "m-2")]) == []
    assert rows() == [RIGHT]


async def test_repeats_change_nothing_also_within_a_batch(
    sink: CheckoutTable, rows: Rows, switches: Switches, order_body: bytes
) -> None:
    for bug, stored in ((True, CORRUPTED), (False, RIGHT)):
        switches.states[BUG_SWITCH] = bug
        for _ in range(2):
            assert await sink.write([order(order_body, f"m-{repeat}") for repeat in range(3)]) == []
            assert rows() == [stored]


async def test_bad_orders_fail_alone_and_for_good(sink: CheckoutTable, rows: Rows, order_body: bytes) -> None:
    bad = [
        order(b"no json"),
        order(b"[]"),
        order(order_body.replace(b"450.00", b'"450.00"')),
        order(order_body.replace(b'"id": 65144, ', b"")),
        order(order_body.replace(b"450.00", b"1e400")),
    ]
    failures = await sink.write([bad[0], bad[1], order(order_body), *bad[2:]])
    assert {failure.event for failure in failures} == set(bad)
    assert {failure.kind for failure in failures} == {FailureKind.PERMANENT}
    codes = {failure.event: failure.code for failure in failures}
    assert [codes[event] for event in bad] == ["not_json", *["not_an_order"] * 3, "number_out_of_range"]
    assert rows() == [RIGHT]


async def test_a_batch_of_nothing_but_bad_orders_raises_nothing(sink: CheckoutTable, rows: Rows) -> None:
    (failure,) = await sink.write([order(b"{}")])
    assert failure.code == "not_an_order"
    assert rows() == []


async def test_every_generated_order_is_a_row(sink: CheckoutTable, rows: Rows) -> None:
    made = [order(body, str(number)) for number, body in zip(range(60), bodies(3), strict=False)]
    assert await sink.write(made) == []
    assert len(rows()) == len(made)


async def test_check_names_a_table_that_is_missing(aws: EmbeddedAws, unique: str) -> None:
    async with CheckoutTable(CheckoutTableConfig(table=unique), Context(fork="checkout")) as sink:
        with pytest.raises(UnavailableError) as refusal:
            await sink.check()
    assert unique in refusal.value.detail


async def test_check_accepts_the_table(sink: CheckoutTable) -> None:
    await sink.check()
