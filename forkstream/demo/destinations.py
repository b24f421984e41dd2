"""What has arrived at the shop's destinations, counted there and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import duckdb
import msgspec
from opensearchpy import NotFoundError, OpenSearch

from forkstream.aws.kms_keys import KmsKeys
from forkstream.demo.application import Application
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.reading import open_object
from forkstream.settings import AwsSettings

Order = dict[str, Any]


class Search(Protocol):
    """Where orders can be searched."""

    def amounts(self) -> dict[int, float]:
        """The amount of every order that can be found, by order id."""


class DuckDBSearch:
    """The embedded analytics: one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def amounts(self) -> dict[int, float]:
        if not self.path.exists():
            return {}
        try:
            with duckdb.connect(str(self.path), read_only=True) as database:
                rows = database.sql("SELECT id, amount FROM orders").fetchall()
        except duckdb.Error:  # a write is under way, or the table is not there yet: the caller asks again
            return {}
        return {int(order): float(amount) for order, amount in rows}


class OpenSearchSearch:
    """A real OpenSearch; ``run`` tells this demo's orders from others in the index by their ids."""

    def __init__(self, url: str, first_id: int) -> None:
        self._client = OpenSearch(url)
        self._first_id = first_id

    def amounts(self) -> dict[int, float]:
        query = {"query": {"range": {"id": {"gte": self._first_id}}}, "_source": ["id", "payment.amount"]}
        try:
            self._client.indices.refresh(index="orders")
            hits = self._client.search(index="orders", body=query, size=10_000)["hits"]["hits"]
        except NotFoundError:
            return {}
        return {hit["_source"]["id"]: float(hit["_source"]["payment"]["amount"]) for hit in hits}


class Destinations:
    """The table, the buckets, the search and the queues of one deployed application."""

    def __init__(self, aws: EmbeddedAws, application: Application, search: Search) -> None:
        self._aws = aws
        self._application = application
        self.search = search
        self._dynamodb = self._client("dynamodb")
        self._s3 = self._client("s3")
        self._sqs = self._client("sqs")

    def rows(self) -> dict[int, Order]:
        """Every row of CheckoutTable by its order's id."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._application.table, ConsistentRead=True)
        rows = [
            {name: next(iter(value.values())) for name, value in row.items()} for page in pages for row in page["Items"]
        ]
        return {int(row["DateOrderId"].rpartition("-")[2]): row for row in rows}

    def backup(self) -> list[bytes]:
        """Every object of the backup bucket, decrypted and decompressed."""
        return anyio.run(self._read_backup)

    async def _read_backup(self) -> list[bytes]:
        aws = AwsSettings(region=self._aws.region, endpoint_url=self._aws.endpoint_url)
        async with KmsKeys(self._application.key_arn, aws) as keys:
            stored = [(key, self._get(key)) for key in self._keys(self._application.backup_bucket)]
            return [(await open_object(key, data, [keys]))[1] for key, data in stored]

    def backed_up(self) -> set[int]:
        """The ids of the orders in the backup bucket."""
        return {msgspec.json.decode(line)["id"] for content in self.backup() for line in content.splitlines()}

    def waiting(self, fork: str) -> int:
        """How many messages a fork's queue holds, hidden ones included."""
        return self._depth(self._application.queues[fork])

    def given_up(self) -> int:
        """How many messages stand in the redrive queues: given up by their queue. Should be none."""
        return sum(map(self._depth, self._application.redrive_queues.values()))

    def _depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def _keys(self, bucket: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def _get(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._application.backup_bucket, Key=key)["Body"].read()
        return body

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._aws.endpoint_url,
            region_name=self._aws.region,
            aws_access_key_id=self._aws.access_key,
            aws_secret_access_key=self._aws.secret_key,
        )
