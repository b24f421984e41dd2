"""The e-commerce application's own two functions, unchanged, in forks on the embedded AWS; failures included."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.assembly import flow_of
from forkstream.config.loading import load_config
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.service import Service
from tests.functions.zipped import deploy

SANITIZE = "tests.functions.ecommerce_sanitize:lambda_handler"
CHECKOUT = "tests.functions.ecommerce_checkout:lambda_handler"


@pytest.fixture
def queue(aws: EmbeddedAws, unique: str) -> str:
    boto3.client("sqs").create_queue(QueueName=unique)
    return unique


@pytest.fixture
def table(aws: EmbeddedAws, unique: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CHECKOUT_TABLE_NAME", unique)
    sys.modules.pop("tests.functions.ecommerce_checkout", None)  # its client has an earlier test's endpoint
    keys = [("CustomerId", "HASH"), ("DateOrderId", "RANGE")]
    return boto3.resource("dynamodb").create_table(
        TableName=unique,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def order(number: int) -> str:
    payment = {"id": 2509, "amount": 450.5, "currency": "usd", "card-number": "1234 5678 9012 3456", "card-cvv": "123"}
    items = [{"quantity": 1}, {"quantity": 2}]
    return json.dumps(
        {"id": number, "date": "2018-12-15", "customer": {"id": 65144}, "payment": payment, "items": items}
    )


def send(queue: str, *bodies: str) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def serve_until(config: str, done: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG", textwrap.dedent(config))
    service = Service([flow_of(plan, poll_wait=1.0) for plan in load_config("env:CONFIG").plans])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run)
        with anyio.fail_after(60):
            while not await anyio.to_thread.run_sync(done):
                await anyio.sleep(0.05)
        service.stop()


async def test_the_checkout_function_writes_its_rows_and_reports_what_is_no_order(
    queue: str, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(queue, order(1), "{}", order(2))
    config = f"""
        forks:
          checkout:
            source: {{sqs: {{queue: {queue}, envelope: raw}}}}
            sink: {{handler: {{handler: "{CHECKOUT}"}}}}
            retry: {{max_elapsed: 0s, then: dead}}
            dead_letter: {{sink: {{file: {{directory: "{tmp_path}/dead"}}}}, max_ratio: 1}}
    """
    await serve_until(
        config, lambda: len(table.scan()["Items"]) == 2 and any((tmp_path / "dead").rglob("*.*")), monkeypatch
    )
    row = {
        "CustomerId": "65144",
        "DateOrderId": "2018-12-15-1",
        "PaymentId": Decimal(2509),
        "PaymentAmount": Decimal("450.5"),
        "PaymentCurrency": "usd",
        "TotalQuantity": Decimal(3),
    }
    assert sorted(table.scan()["Items"], key=lambda item: str(item["DateOrderId"])) == [
        row,
        {**row, "DateOrderId": "2018-12-15-2"},
    ]


@pytest.mark.parametrize("where", ["handler", "lambda"])
async def test_the_sanitising_function_takes_the_card_data_and_what_is_no_order_is_dead(
    where: str, queue: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = SANITIZE if where == "handler" else deploy(unique, "ecommerce_sanitize")
    send(queue, *(order(number) for number in range(5)), "{}")
    config = f"""
        forks:
          backup:
            source: {{sqs: {{queue: {queue}, envelope: raw}}}}
            stages: [{{transform: {{{where}: "{function}"}}}}]
            sink: {{file: {{directory: "{tmp_path}/out"}}}}
            batch: {{max_age: 100ms}}
            dead_letter: {{sink: {{file: {{directory: "{tmp_path}/dead"}}}}, max_ratio: 1}}
    """

    def stored(directory: str) -> list[str]:
        return [line for file in sorted((tmp_path / directory).rglob("*.ndjson")) for line in lines(file)]

    await serve_until(config, lambda: len(stored("out")) == 5 and bool(stored("dead")), monkeypatch)
    assert sorted(json.loads(line)["id"] for line in stored("out")) == list(range(5))
    assert not any("card" in line for line in stored("out"))
    (letter,) = stored("dead")
    assert json.loads(letter)["step"] == "stages[0].transform"
