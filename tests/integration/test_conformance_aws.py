"""The conformance suites over the built-ins that talk to AWS, on the embedded one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.aws.kms_keys import KmsKeys
from forkstream.aws.origin import ORIGIN_ATTRIBUTE, Origin
from forkstream.demo.embedded_aws import EmbeddedAws, free_port
from forkstream.event import Attribute, Event, Json
from forkstream.ports import Context, ObjectInfo, Payload, Source
from forkstream.reading import open_object
from forkstream.settings import AwsSettings, Settings
from forkstream.sinks.dynamodb import DynamoDBConfig, DynamoDBSink
from forkstream.sinks.s3 import S3Config, S3Sink
from forkstream.sinks.sqs import SqsSink, SqsSinkConfig
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from forkstream.stages.encrypt import Encrypt, EncryptConfig
from forkstream.testing.conformance import (
    EventSinkConformance,
    ObjectSinkConformance,
    ObjectStageConformance,
    PluginConformance,
    SourceConformance,
)
from forkstream.testing.make_events import ODD_BODIES, make_events
from forkstream.testing.read_settings import read_settings

CONTEXT = Context(fork="test")


class Clients:
    """Stock clients to look with, one a service for all tests: making one costs more than a test."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._session = boto3.Session(aws.access_key, aws.secret_key, region_name=aws.region)
        self._endpoint_url = aws.endpoint_url

    @cached_property
    def s3(self) -> Any:
        return self._session.client("s3", endpoint_url=self._endpoint_url)

    @cached_property
    def sqs(self) -> Any:
        return self._session.client("sqs", endpoint_url=self._endpoint_url)

    @cached_property
    def kms(self) -> Any:
        return self._session.client("kms", endpoint_url=self._endpoint_url)

    @cached_property
    def dynamodb(self) -> Any:
        return self._session.resource("dynamodb", endpoint_url=self._endpoint_url)


@pytest.fixture(scope="session")
def clients(aws_server: EmbeddedAws) -> Clients:
    return Clients(aws_server)


def nowhere() -> AwsSettings:
    """An endpoint on which nobody listens."""
    return AwsSettings(endpoint_url=f"http://127.0.0.1:{free_port()}")


S = TypeVar("S", bound=PluginConformance[Any])


def its_port_alone(suite: type[S]) -> type[S]:
    """Leave out what every plugin keeps: the suite that this one is derived from has tried it."""
    for name in dir(PluginConformance):
        if name.startswith("test_"):
            setattr(suite, name, None)
    return suite


class TestS3Sink(ObjectSinkConformance):
    @pytest.fixture(autouse=True)
    def bucket(self, aws: EmbeddedAws, clients: Clients, unique: str) -> None:
        self.s3 = clients.s3
        self.name = unique
        self.s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": aws.region})

    def plugin(self) -> S3Sink:
        return S3Sink(S3Config(bucket=self.name, prefix="dt=%Y/{name}/"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"bucket": ""}, {"bucket": "b", "prefix": "{"}]

    def unreachable(self) -> S3Sink:
        return S3Sink(S3Config(bucket=self.name, aws=nowhere()), CONTEXT)

    def unusable(self) -> S3Sink:
        return S3Sink(S3Config(bucket=f"{self.name}-missing"), CONTEXT)

    def refused_key(self) -> None:
        """The embedded S3 takes every key; the runtime keeps within S3's 1024 bytes."""

    def stored(self) -> Mapping[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {one["Key"]: self.s3.get_object(Bucket=self.name, Key=one["Key"])["Body"].read() for one in found}


class TestDynamoDBSink(EventSinkConformance):
    large_batch = 200  # each row costs the emulator a millisecond
    settings: ClassVar[Mapping[str, Json]] = {"mode": "batch"}

    @pytest.fixture(autouse=True)
    def table(self, aws: EmbeddedAws, clients: Clients, unique: str) -> None:
        self.table_name = unique
        self.rows: Any = clients.dynamodb.create_table(
            TableName=unique,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def plugin(self) -> DynamoDBSink:
        return self.made(table=self.table_name)

    def made(self, **more: Json) -> DynamoDBSink:
        columns: Json = {"id": {"path": "id", "type": "N"}, "name": "name", "amount": {"path": "amount", "type": "N"}}
        settings: dict[str, Json] = {"columns": columns, "key": ["id"], **self.settings, **more}
        return DynamoDBSink(read_settings(DynamoDBConfig, settings), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{"table": "t", "columns": {"id": "id"}, "key": ["id"], "mode": "batch"}, {"table": "t"}, {}]

    def unreachable(self) -> DynamoDBSink:
        return self.made(table=self.table_name, aws={"endpoint_url": nowhere().endpoint_url})

    def unusable(self) -> DynamoDBSink:
        return self.made(table=f"{self.table_name}-missing")

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711)
        return event.with_(body=b'{"id":[4711]}')

    def stored(self) -> Iterable[str]:
        page: Any = self.rows.scan(ConsistentRead=True)
        items = page["Items"]
        while "LastEvaluatedKey" in page:
            page = self.rows.scan(ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])
            items += page["Items"]
        return [str(item["id"]) for item in items]


@its_port_alone
class TestDynamoDBSinkByVersion(TestDynamoDBSink):
    settings: ClassVar[Mapping[str, Json]] = {"version": "amount"}


class TestSqsSink(EventSinkConformance):
    idempotent = False
    large_batch = 200
    suffix = ""

    @pytest.fixture(autouse=True)
    def queue(self, aws: EmbeddedAws, clients: Clients, unique: str) -> None:
        self.queue_name = unique + self.suffix
        self.sqs = clients.sqs
        attributes = {"FifoQueue": "true"} if self.suffix else {}
        self.url = self.sqs.create_queue(QueueName=self.queue_name, Attributes=attributes)["QueueUrl"]
        self.seen: list[str] = []

    def plugin(self) -> SqsSink:
        return SqsSink(SqsSinkConfig(queue=self.queue_name), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"queue": "standard", "group": "one"}, {"queue": "arn:aws:s3:::bucket"}]

    def unreachable(self) -> SqsSink:
        return SqsSink(SqsSinkConfig(queue=self.queue_name, aws=nowhere()), CONTEXT)

    def unusable(self) -> SqsSink:
        return SqsSink(SqsSinkConfig(queue=f"missing-{self.queue_name}"), CONTEXT)

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711)
        return event.with_(body=b"\xff4711")

    def stored(self) -> Iterable[str]:
        while messages := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
        ).get("Messages"):
            for message in messages:
                origin = Origin.parse(
                    Attribute("String", message["MessageAttributes"][ORIGIN_ATTRIBUTE]["StringValue"])
                )
                self.seen.append(origin.id if origin else "")
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return self.seen


@its_port_alone
class TestSqsSinkFifo(TestSqsSink):
    idempotent = True
    suffix = ".fifo"


class TestSqsSource(SourceConformance):
    suffix = ""

    @pytest.fixture(autouse=True)
    def queue(self, aws: EmbeddedAws, clients: Clients, unique: str) -> None:
        self.queue_name = unique + self.suffix
        self.sqs = clients.sqs
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if self.suffix else {}
        self.url = self.sqs.create_queue(QueueName=self.queue_name, Attributes=attributes)["QueueUrl"]

    def plugin(self) -> SqsSource:
        return SqsSource(SqsSourceConfig(queue=self.queue_name, envelope="raw"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"queue": "q", "envelope": "paper"}, {"queue": "arn:aws:s3:::bucket"}]

    def unreachable(self) -> SqsSource:
        return SqsSource(SqsSourceConfig(queue=self.queue_name, aws=nowhere()), CONTEXT)

    def unusable(self) -> SqsSource:
        return SqsSource(SqsSourceConfig(queue=f"missing-{self.queue_name}"), CONTEXT)

    def odd_bodies(self) -> dict[str, bytes]:
        """SQS takes text of 1 character or more; the embedded one takes 256 KiB."""
        kept = ("empty", "not UTF-8", "1 MiB")
        return {oddity: body for oddity, body in ODD_BODIES.items() if oddity not in kept}

    def send(self, plugin: Source[Settings], events: Sequence[Event]) -> None:
        for event in events:
            group = {"MessageGroupId": (event.group or "g").replace(" ", "-")} if self.suffix else {}
            self.sqs.send_message(QueueUrl=self.url, MessageBody=event.body.decode(), **group)


@its_port_alone
class TestSqsSourceFifo(TestSqsSource):
    suffix = ".fifo"


class TestEncryptWithKms(ObjectStageConformance):
    @pytest.fixture(autouse=True)
    def key(self, aws: EmbeddedAws, clients: Clients) -> None:
        self.arn: str = clients.kms.create_key()["KeyMetadata"]["Arn"]

    def plugin(self) -> Encrypt:
        return Encrypt(EncryptConfig(kms_key=self.arn), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"kms_key": ""}, {"kms_key": "k", "key_file": "f"}]

    def unreachable(self) -> Encrypt:
        return Encrypt(EncryptConfig(kms_key=self.arn, aws=nowhere()), CONTEXT)

    def unusable(self) -> Encrypt:
        missing = self.arn.rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
        return Encrypt(EncryptConfig(kms_key=missing), CONTEXT)

    async def undo(self, payload: Payload, about: ObjectInfo) -> bytes:
        async with KmsKeys(self.arn, AwsSettings()) as keys:
            return (await open_object(about.key, payload.data, [keys]))[1]
