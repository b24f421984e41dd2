"""The deployed shop as its customers and its operators reach it: through AWS's public API, and nothing else."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aws_encryption_sdk  # type: ignore[import-untyped]  # neither ships types
import boto3  # type: ignore[import-untyped]
import botocore.session
import zstandard
from forkstream_checkout.generator import orders

from forkstream.demo.application import Application
from forkstream.demo.service_process import ServiceProcess
from forkstream.event import encode_json

Order = dict[str, Any]

LIMIT = 120.0
"""Seconds until a test gives up."""


class Shop:
    """Posts orders, and looks at what became of them. ``config`` is what the service runs with."""

    def __init__(self, application: Application, config: Path, directory: Path) -> None:
        self.application = application
        self.config = config
        self.directory = directory
        self._orders = orders(7)
        self._dynamodb = boto3.client("dynamodb")
        self._s3 = boto3.client("s3")
        self._sqs = boto3.client("sqs")
        self.accepted = 0
        """How many orders the API has taken."""

    def post(self, *amounts: str) -> list[Order]:
        """Post an order of each amount; returns them as they were posted."""
        posted = []
        for amount, order in zip(amounts, self._orders, strict=False):
            order["payment"]["amount"] = Decimal(amount)  # type: ignore[index,call-overload]  # the generator's orders have one
            request = urllib.request.Request(  # noqa: S310  # the shop's own address
                self.application.checkout_url, encode_json(order), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:  # noqa: S310  # the same
                assert answer.status == 201
            self.accepted += 1
            posted.append(order)
        return posted

    def row(self, order: Order) -> dict[str, Decimal | str]:
        """The order's row of CheckoutTable: a number is a Decimal, text is text; empty if there is no row."""
        key = {
            "CustomerId": {"S": str(order["customer"]["id"])},
            "DateOrderId": {"S": f"{order['date']}-{order['id']}"},
        }
        answer = self._dynamodb.get_item(TableName=self.application.table, Key=key, ConsistentRead=True)
        row = answer.get("Item", {})
        return {name: Decimal(value["N"]) if "N" in value else value["S"] for name, value in row.items()}

    def stored(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket, byte for byte."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self._s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def backup(self) -> dict[str, bytes]:
        """The content of every object of the backup bucket, read with the stock SDK and stock zstd."""
        client = aws_encryption_sdk.EncryptionSDKClient()
        keys = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(
            key_ids=[self.application.key_arn], botocore_session=botocore.session.Session()
        )
        contents = {}
        for key, stored in self.stored(self.application.backup_bucket).items():
            assert key.endswith(".ndjson.zst.encrypted")
            compressed, _ = client.decrypt(source=stored, key_provider=keys)
            contents[key] = zstandard.ZstdDecompressor().decompress(compressed)
        for kms in keys._regional_clients.values():
            kms.close()
        return contents

    def waiting(self, fork: str) -> int:
        """How many messages the fork's queue holds, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queue = self.application.queues[fork]
        attributes = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    @contextmanager
    def serving(
        self, *forks: str, config: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[ServiceProcess]:
        """Run some forks in a process of their own for the block."""
        directory = self.directory / "-".join(forks)
        directory.mkdir(exist_ok=True)
        settings = self.application.environment | {
            "FORKSTREAM_CONTROL": f"file:{self.directory}/control.json",
            "FORKSTREAM_STOP_TIMEOUT": "10",
            "OPENSEARCH_URL": "",
            **(environment or {}),
        }
        options = tuple(option for fork in forks for option in ("--fork", fork))
        service = ServiceProcess(config or self.config, settings, directory, options)
        try:
            service.start()
            yield service
        finally:
            assert service.stop() == 0, service.log_tail()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fails with ``what`` should have come true when the limit is over."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT:.0f} s: {what}"
        time.sleep(0.1)
