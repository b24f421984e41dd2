"""Events as rows: the generic table sink from its settings to the table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import msgspec
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Attribute, Event, FailureKind
from forkstream.ports import Context
from forkstream.settings import AwsSettings
from forkstream.sinks.dynamodb import DynamoDBConfig, DynamoDBSink

SETTINGS: dict[str, Any] = {
    "columns": {
        "CustomerId": {"path": "customer.id", "type": "S"},
        "DateOrderId": {"path": "date", "type": "S"},
        "PaymentAmount": "payment.amount",
        "Sent": {"path": "date", "type": "time"},
        "Kind": "attributes.kind",
    },
    "key": ["CustomerId", "DateOrderId"],
}


@pytest.fixture
def table(aws: EmbeddedAws, unique: str) -> Any:
    return boto3.resource("dynamodb").create_table(
        TableName=unique,
        KeySchema=[
            {"AttributeName": "CustomerId", "KeyType": "HASH"},
            {"AttributeName": "DateOrderId", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "CustomerId", "AttributeType": "S"},
            {"AttributeName": "DateOrderId", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def sink(table: Any, **settings: Any) -> DynamoDBSink:
    config = msgspec.convert({"table": table.name, **SETTINGS, **settings}, DynamoDBConfig)
    return DynamoDBSink(config, Context(fork="checkout"))


def order(amount: str = "450.00", customer: str = "65144", date: str = "2018-12-15T23:41:11-08:00") -> Event:
    body = f'{{"date":"{date}","customer":{{"id":{customer}}},"payment":{{"amount":{amount}}}}}'
    return Event(body.encode(), id="m", attributes={"kind": Attribute("String", "order")})


@pytest.mark.parametrize("settings", [{"mode": "batch"}, {"version": "Sent"}])
async def test_an_event_becomes_a_row(table: Any, settings: dict[str, Any]) -> None:
    async with sink(table, **settings) as orders:
        await orders.check()
        assert await orders.write([order()]) == []
    assert table.scan()["Items"] == [
        {
            "CustomerId": "65144",
            "DateOrderId": "2018-12-15T23:41:11-08:00",
            "PaymentAmount": Decimal("450.00"),
            "Sent": 1_544_946_071_000,
            "Kind": "order",
        }
    ]


async def test_contract_2_an_event_that_makes_no_row_fails_alone(table: Any) -> None:
    poison = [Event(b"no json", id="p"), order(customer="null"), order(date="yesterday"), order(amount="1" * 39)]
    async with sink(table, mode="batch") as orders:
        failures = list(await orders.write([order(), *poison]))
    named = {failure.event: failure.code for failure in failures}
    assert [named[event] for event in poison] == ["not_json", "key_missing", "column_type", "number_too_long"]
    assert {failure.kind for failure in failures} == {FailureKind.PERMANENT}
    assert table.scan()["Count"] == 1


async def test_contract_7_a_replayed_older_event_changes_nothing(table: Any) -> None:
    columns = {**SETTINGS["columns"], "DateOrderId": {"path": "payment.amount", "type": "S"}}
    columns["Seen"] = "date"
    newer, older = order(date="2018-12-15T09:00:00+01:00"), order(date="2018-12-15T08:59:00+02:00")
    async with sink(table, version="Sent", columns=columns) as orders:
        for events in ([newer], [older], [older, newer, older]):
            assert await orders.write(events) == []
            assert [row["Seen"] for row in table.scan()["Items"]] == ["2018-12-15T09:00:00+01:00"]


async def test_the_sinks_own_aws_settings_go_before_the_forks(table: Any) -> None:
    config = msgspec.convert({"table": table.name, **SETTINGS, "mode": "batch"}, DynamoDBConfig)
    elsewhere = AwsSettings(endpoint_url="http://127.0.0.1:9")
    here = msgspec.structs.replace(config, aws=AwsSettings(endpoint_url=table.meta.client.meta.endpoint_url))
    async with DynamoDBSink(here, Context(fork="checkout", aws=elsewhere)) as orders:
        assert await orders.write([order()]) == []


async def test_check_finds_a_key_that_is_not_the_tables(table: Any) -> None:
    async with sink(table, mode="batch", key=["DateOrderId", "CustomerId"]) as orders:
        with pytest.raises(UnavailableError):
            await orders.check()
