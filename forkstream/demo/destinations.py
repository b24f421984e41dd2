"""What has arrived at the shop's destinations, counted there and nowhere else."""

from __future__ import annotations

from collections import Counter

import anyio
import msgspec

from forkstream.aws.kms_keys import KmsKeys
from forkstream.demo.application import Application
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.demo.search import Search
from forkstream.reading import open_object
from forkstream.settings import AwsSettings

Row = dict[str, str]


class Destinations:
    """The table, the buckets, the search and the queues of one deployed application."""

    def __init__(self, aws: EmbeddedAws, application: Application, search: Search) -> None:
        self._aws = aws
        self._application = application
        self.search = search
        self._dynamodb = aws.client("dynamodb")
        self._s3 = aws.client("s3")
        self._sqs = aws.client("sqs")
        self._objects: dict[str, bytes] = {}

    def rows(self) -> dict[int, Row]:
        """Every row of CheckoutTable by its order's id; numbers as DynamoDB writes them."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._application.table, ConsistentRead=True)
        rows = [
            {name: next(iter(value.values())) for name, value in row.items()} for page in pages for row in page["Items"]
        ]
        return {int(row["DateOrderId"].rpartition("-")[2]): row for row in rows}

    def backup(self) -> dict[str, bytes]:
        """Every object of the backup bucket by its key, decrypted and decompressed; each is read once, since none changes."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._application.backup_bucket)
        new = [
            entry["Key"] for page in pages for entry in page.get("Contents", []) if entry["Key"] not in self._objects
        ]
        if new:
            self._objects |= anyio.run(self._read, new)
        return self._objects

    def backed_up(self) -> Counter[int]:
        """How many lines of the backup bucket's objects hold each order, by its id."""
        lines = (line for content in self.backup().values() for line in content.splitlines())
        return Counter(msgspec.json.decode(line)["id"] for line in lines)

    def waiting(self, fork: str) -> int:
        """How many messages a fork's queue holds, hidden ones included."""
        return sum(self._depth(self._application.queues[fork]))

    def lag(self, fork: str) -> int:
        """How many messages wait in a fork's queue, those that somebody holds left out."""
        return self._depth(self._application.queues[fork])[0]

    def given_up(self) -> int:
        """How many messages stand in the redrive queues: given up by their queue. Should be none."""
        return sum(sum(self._depth(url)) for url in self._application.redrive_queues.values())

    async def _read(self, keys: list[str]) -> dict[str, bytes]:
        bucket = self._application.backup_bucket
        settings = AwsSettings(region=self._aws.region, endpoint_url=self._aws.endpoint_url)
        async with KmsKeys(self._application.key_arn, settings) as data_keys:
            stored = {key: self._s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
            return {key: (await open_object(key, data, [data_keys]))[1] for key, data in stored.items()}

    def _depth(self, url: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        ready, hidden = (int(attributes[name]) for name in names)
        return ready, hidden
