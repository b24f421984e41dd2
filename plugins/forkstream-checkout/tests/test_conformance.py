"""The sink keeps every rule of its port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from forkstream_checkout.table import CheckoutTable, CheckoutTableConfig

from forkstream.demo.embedded_aws import EmbeddedAws, free_port
from forkstream.event import Event, Json
from forkstream.ports import Context
from forkstream.settings import AwsSettings
from forkstream.testing.conformance import EventSinkConformance

CONTEXT = Context(fork="test")
ORDER = (
    b'{"id":%d,"date":"2018-12-15","customer":{"id":1},"payment":{"id":2,"amount":4.50,"currency":"usd"},"items":[]}'
)


class TestCheckoutTable(EventSinkConformance):
    large_batch = 200

    @pytest.fixture(autouse=True)
    def table(self, aws: EmbeddedAws, unique: str) -> None:
        self.name = unique
        self.client: Any = boto3.client("dynamodb")
        self.client.create_table(
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

    def plugin(self) -> CheckoutTable:
        return CheckoutTable(CheckoutTableConfig(table=self.name), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"table": ""}, {"table": "t", "bug_enabled": "perhaps"}]

    def unreachable(self) -> CheckoutTable:
        aws = AwsSettings(endpoint_url=f"http://127.0.0.1:{free_port()}")
        return CheckoutTable(CheckoutTableConfig(table=self.name, aws=aws), CONTEXT)

    def unusable(self) -> CheckoutTable:
        return CheckoutTable(CheckoutTableConfig(table=f"{self.name}-missing"), CONTEXT)

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        return [Event(ORDER % number, id=str(number)) for number in range(start, start + count)]

    def refused_event(self) -> Event:
        return Event(b'{"id":4711}', id="4711")

    def stored(self) -> Iterable[str]:
        pages = self.client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        return [item["DateOrderId"]["S"].rpartition("-")[2] for page in pages for item in page["Items"]]
