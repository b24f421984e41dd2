"""A small shop on the embedded AWS: four forks of one topic, and what arrived at each destination."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import duckdb
import zstandard

from tests.faults.decryption import decrypted
from tests.faults.site import Site

# raw: nobody has to be asked whether SNS wraps messages, so that a start costs less
FORKS = """
forks:
  checkout:
    source: {sqs: {queue: "{name}-checkout", envelope: raw}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
    sink: {checkout-table: {table: "{name}-checkout"}}
    batch: {max_age: 200ms}
    write_timeout: 4s
  backup:
    source: {sqs: {queue: "{name}-backup", envelope: raw}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
      - compress
      - encrypt: {key_file: "{directory}/key"}
    sink: {s3: {bucket: "{name}-backup", prefix: "orders/"}}
    batch: {max_age: 500ms}
    write_timeout: 4s
  search:
    source: {sqs: {queue: "{name}-search", envelope: raw}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
      - index: {name: orders, id: id, version: date, time: date}
    sink: {duckdb: {path: "{directory}/search.duckdb", table: orders}}
    batch: {max_age: 500ms}
    write_timeout: 4s
  replay:
    source: {sqs: {queue: "{name}-replay", envelope: raw}}
    sink: {sqs: {queue: "{name}-replayed"}}
    batch: {max_age: 200ms}
    write_timeout: 4s
"""
NAMES = ("checkout", "backup", "search", "replay")


class Shop:
    """A topic, a queue for each fork, a table, a bucket, a database and a queue that replays end up in."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.config = site.config(FORKS)
        self.queues = {name: site.queue(name) for name in NAMES}
        self._replayed = site.queue("replayed")
        self._replays = Counter[int]()
        self._bucket = site.bucket("backup")
        self._key = os.urandom(32)
        (site.directory / "key").write_bytes(base64.b64encode(self._key))
        self._sns = boto3.client("sns")
        self._topic = self._sns.create_topic(Name=site.name)["TopicArn"]
        for queue in self.queues.values():
            raw = {"RawMessageDelivery": "true"}
            self._sns.subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=queue.arn, Attributes=raw)
        self._dynamodb = boto3.client("dynamodb")
        self._table = f"{site.name}-checkout"
        key = {"CustomerId": "HASH", "DateOrderId": "RANGE"}
        self._dynamodb.create_table(
            TableName=self._table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in key.items()],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in key],
        )

    def post(self, orders: list[bytes]) -> None:
        """Publish orders to the topic, which has them in every fork's queue when this returns."""

        def publish(ten: list[bytes]) -> Any:
            entries = [{"Id": str(place), "Message": order.decode()} for place, order in enumerate(ten)]
            return self._sns.publish_batch(TopicArn=self._topic, PublishBatchRequestEntries=entries)

        with ThreadPoolExecutor(2) as pool:
            for published in pool.map(publish, [orders[start : start + 10] for start in range(0, len(orders), 10)]):
                assert not published.get("Failed")

    @property
    def left(self) -> int:
        """How many messages the forks' queues still hold, visible or not."""
        return sum(queue.left for queue in self.queues.values())

    # What is at the destinations, read with stock tools.

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table)
        return [row for page in pages for row in page["Items"]]

    def backed_up(self) -> list[Any]:
        """All orders of all objects, decrypted and decompressed."""
        plain = [decrypted(stored, self._key) for stored in self._bucket.objects().values()]
        return [json.loads(line) for each in plain for line in zstandard.decompress(each).splitlines()]

    def documents(self) -> list[tuple[Any, ...]]:
        """All documents of the embedded analytics: id, version, content."""
        with duckdb.connect(str(self.site.directory / "search.duckdb"), read_only=True) as database:
            return database.sql("select id, version, data from orders order by all").fetchall()

    def replayed(self) -> Counter[int]:
        """How often each order has reached the queue that replays end up in."""
        self._replays.update(json.loads(message["Body"])["id"] for message in self._replayed.take())
        return self._replays
