"""Queues and buckets of one test on the embedded AWS, sent to and read with the stock SDK."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, get_args

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard

from forkstream.aws.open_queue import Client
from forkstream.demo.embedded_aws import EmbeddedAws


class Queue:
    """One queue. Counts are exact on the embedded AWS."""

    def __init__(self, sqs: Any, name: str, **attributes: str) -> None:
        self._sqs = sqs
        self.name = name
        self.fifo = name.endswith(".fifo")
        fifo = {"FifoQueue": "true"} if self.fifo else {}
        self.url = sqs.create_queue(QueueName=name, Attributes=attributes | fifo)["QueueUrl"]
        self._numbers = count()

    @property
    def arn(self) -> str:
        """Its ARN."""
        arn: str = self._attributes("QueueArn")["QueueArn"]
        return arn

    def send(self, bodies: Iterable[bytes], *, groups: Sequence[str] = ()) -> None:
        """Send messages; those of a FIFO queue go to ``groups`` in turn, and in their order."""
        entries = [{"Id": str(next(self._numbers)), "MessageBody": body.decode()} for body in bodies]
        if groups:
            for entry in entries:
                group = groups[int(entry["Id"]) % len(groups)]
                entry |= {"MessageGroupId": group, "MessageDeduplicationId": entry["Id"]}
        tens = [entries[start : start + 10] for start in range(0, len(entries), 10)]
        with ThreadPoolExecutor(1 if groups else 4) as pool:
            for sent in pool.map(lambda ten: self._sqs.send_message_batch(QueueUrl=self.url, Entries=ten), tens):
                assert not sent.get("Failed")

    @property
    def visible(self) -> int:
        """How many messages can be received now."""
        return int(self._attributes("ApproximateNumberOfMessages").popitem()[1])

    @property
    def hidden(self) -> int:
        """How many messages somebody holds."""
        return int(self._attributes("ApproximateNumberOfMessagesNotVisible").popitem()[1])

    @property
    def left(self) -> int:
        """How many messages it has, visible or not."""
        counts = self._attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(map(int, counts.values()))

    def take(self) -> Iterator[dict[str, Any]]:
        """Receive and delete all that is visible."""
        while messages := self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            self._sqs.delete_message_batch(QueueUrl=self.url, Entries=handles)
            yield from messages

    def _attributes(self, *names: str) -> dict[str, Any]:
        found: dict[str, Any] = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return found


class Bucket:
    """One bucket."""

    def __init__(self, s3: Any, name: str, region: str) -> None:
        self._s3 = s3
        self.name = name
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})

    def objects(self) -> dict[str, bytes]:
        """What is stored under each key, decompressed if its key says so."""
        found = {}
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for entry in page.get("Contents", []):
                stored = self._s3.get_object(Bucket=self.name, Key=entry["Key"])["Body"].read()
                if entry["Key"].endswith(".zst"):
                    stored = zstandard.ZstdDecompressor().decompress(stored)
                found[entry["Key"]] = stored
        return found

    def lines(self) -> list[Any]:
        """Every line of every object, decoded."""
        return [json.loads(line) for content in self.objects().values() for line in content.splitlines()]


on_both_wires = pytest.mark.parametrize("client", get_args(Client), indirect=True)
"""Runs a test with both wires to SQS; the others run with the default one."""


class Site:
    """What one test has: its directory, and resources whose names begin with ``name``."""

    def __init__(self, aws: EmbeddedAws, name: str, directory: Path, client: Client | None) -> None:
        self._client = client
        self.aws = aws
        self.name = name
        self.directory = directory
        self.sqs = boto3.client("sqs")
        self.s3 = boto3.client("s3")

    def queue(self, name: str, **attributes: str) -> Queue:
        """Make a queue."""
        return Queue(self.sqs, f"{self.name}-{name}", **attributes)

    def bucket(self, name: str) -> Bucket:
        """Make a bucket."""
        return Bucket(self.s3, f"{self.name}-{name}", self.aws.region)

    def config(self, forks: str) -> Path:
        """Write a config with these forks, in YAML; ``{name}`` and ``{directory}`` in it are this site's."""
        path = self.directory / "forkstream.yaml"
        text = forks.replace("{name}", self.name).replace("{directory}", str(self.directory))
        if self._client:
            text = text.replace("{sqs: {", f"{{sqs: {{client: {self._client}, ")
        path.write_text(f"{text}\naws: {{region: {self.aws.region}}}\nadmin: {{port: 0}}\nlog: {{format: json}}\n")
        return path


def numbered(numbers: Iterable[int], *, fill: int = 0) -> list[bytes]:
    """Small events ``{"n": 1, …}`` that are told apart by their number."""
    return [b'{"n":%d,"fill":"%s"}' % (number, b"x" * fill) for number in numbers]
