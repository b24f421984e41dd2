"""The conformance suites over what filters, what calls functions, and what sends to topics and URLs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.aws.origin import ORIGIN_ATTRIBUTE, Origin
from forkstream.demo.embedded_aws import EmbeddedAws, free_port
from forkstream.event import Attribute, Event, Json
from forkstream.ports import Context
from forkstream.settings import AwsSettings
from forkstream.sinks.handler import HandlerConfig, HandlerSink
from forkstream.sinks.http import HttpConfig, HttpSink
from forkstream.sinks.sns import SnsSink, SnsSinkConfig
from forkstream.stages.filter import Filter, FilterConfig
from forkstream.stages.transform import Transform, TransformConfig
from forkstream.testing.conformance import AsyncStageConformance, EventSinkConformance, EventStageConformance
from tests.functions import consumers
from tests.functions.zipped import deploy

CONTEXT = Context(fork="test")
FUNCTIONS = "tests.functions.transformations"


def nowhere() -> AwsSettings:
    """An endpoint on which nobody listens."""
    return AwsSettings(endpoint_url=f"http://127.0.0.1:{free_port()}")


def refused(body: bytes) -> Event:
    return Event(body, id="refused")


class TestFilter(EventStageConformance):
    def plugin(self) -> Filter:
        policy: dict[str, object] = {"amount": [{"numeric": [">=", 5]}], "name": [{"wildcard": "ev*"}]}
        return Filter(FilterConfig(policy=policy, unmatched="drop", scope="body"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [
            {},
            {"policy": {"a": ["x"]}},
            {"policy": {}, "unmatched": "drop"},
            {"policy": {"a": "x"}, "unmatched": "dead"},
        ]

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None

    def refused_event(self) -> None:
        return None


class TestFilterToTheDeadLetters(TestFilter):
    def plugin(self) -> Filter:
        policy: dict[str, object] = {"amount": [{"numeric": [">=", 0]}]}
        return Filter(FilterConfig(policy=policy, unmatched="dead", scope="body"), CONTEXT)

    def refused_event(self) -> Event:  # type: ignore[override]  # here there is one
        return refused(b"{}")


class TestTransformInProcess(AsyncStageConformance):
    def plugin(self) -> Transform:
        return Transform(TransformConfig(handler=f"{FUNCTIONS}:passes"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [
            {},
            {"handler": "a:b", "lambda": "c"},
            {"handler": "a.b"},
            {"lambda": "a b"},
            {"handler": "a:b", "timeout": "1h"},
        ]

    def unreachable(self) -> Transform | None:
        return None

    def unusable(self) -> Transform:
        return Transform(TransformConfig(handler="tests.functions.nowhere:handler"), CONTEXT)

    def refused_event(self) -> Event:
        return refused(b"refused")


class TestTransformInLambda(TestTransformInProcess):
    @pytest.fixture(autouse=True)
    def function(self, aws: EmbeddedAws, unique: str) -> None:
        self.name = unique
        deploy(unique, "transformations", "passes")

    def plugin(self) -> Transform:
        return Transform(TransformConfig(lambda_=self.name), CONTEXT)

    def unreachable(self) -> Transform:
        return Transform(TransformConfig(lambda_=self.name, aws=nowhere()), CONTEXT)

    def unusable(self) -> Transform:
        return Transform(TransformConfig(lambda_=f"{self.name}-missing"), CONTEXT)


class TestHandlerSink(EventSinkConformance):
    idempotent = False

    @pytest.fixture(autouse=True)
    def fresh(self) -> None:
        consumers.calls.clear()
        consumers.answer = None

    def plugin(self) -> HandlerSink:
        return HandlerSink(HandlerConfig(handler="tests.functions.consumers:lambda_handler"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"handler": "a.b"}, {"handler": "a:b", "response": "some"}]

    def unreachable(self) -> None:
        return None

    def unusable(self) -> HandlerSink:
        return HandlerSink(HandlerConfig(handler="tests.functions.nowhere:handler"), CONTEXT)

    def refused_event(self) -> Event:
        return refused(b"\xff")

    def stored(self) -> Iterable[str]:
        return [record["messageId"] for event, _ in consumers.calls for record in event["Records"]]


class TestHttpSink(EventSinkConformance):
    idempotent = False

    @pytest.fixture(autouse=True)
    def server(self, tmp_path: Path) -> Iterator[None]:
        self.missing = tmp_path / "missing.pem"
        with Server(("127.0.0.1", 0), Keeper) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/"
            Keeper.kept.clear()
            yield
            server.shutdown()
            thread.join()

    def plugin(self) -> HttpSink:
        return HttpSink(HttpConfig(url=self.url), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [
            {},
            {"url": "x"},
            {"url": "https://h/", "headers": {"a b": "c"}},
            {"url": "https://h/", "secret": "short"},
        ]

    def unreachable(self) -> HttpSink:
        return HttpSink(HttpConfig(url=f"http://127.0.0.1:{free_port()}/"), CONTEXT)

    def unusable(self) -> HttpSink:
        return HttpSink(HttpConfig(url=self.url, ca_file=str(self.missing)), CONTEXT)

    def refused_event(self) -> Event | None:
        return refused(b"oops")

    def stored(self) -> Iterable[str]:
        return [identity for _, body in Keeper.kept for identity in ids(body)]


class Server(ThreadingHTTPServer):
    request_queue_size = (
        1024  # five connections may wait else; the sixth is tried again by TCP after 1, 3, 7, … seconds
    )


class Keeper(BaseHTTPRequestHandler):
    """Keeps each body that is posted, with its Idempotency-Key, in a thread of its own: a suite's rules stop their loop."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.kept.append((self.headers.get("Idempotency-Key", ""), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_OPTIONS(self) -> None:
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the name that it has above
        """Say nothing."""


def ids(body: bytes) -> Iterable[str]:
    for line in body.splitlines():
        if line.startswith(b'{"id":') and line.endswith(b".5}"):
            yield str(json.loads(line)["id"])


class TestHttpSinkWithSingleEvents(TestHttpSink):
    def plugin(self) -> HttpSink:
        return HttpSink(HttpConfig(url=self.url, body="event"), CONTEXT)

    def refused_event(self) -> None:
        """It takes any bytes."""

    def stored(self) -> Iterable[str]:
        return [key for key, _ in Keeper.kept]


class TestSnsSink(EventSinkConformance):
    idempotent = False
    large_batch = 200

    @pytest.fixture(autouse=True)
    def topic(self, aws: EmbeddedAws, unique: str) -> None:
        sns, self.sqs = boto3.client("sns"), boto3.client("sqs")
        self.arn = str(sns.create_topic(Name=unique)["TopicArn"])
        self.url = self.sqs.create_queue(QueueName=unique)["QueueUrl"]
        queue = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue, Attributes=raw)
        self.arrived: list[str] = []

    def plugin(self) -> SnsSink:
        return SnsSink(SnsSinkConfig(topic=self.arn), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"topic": "orders"}, {"topic": "arn:aws:sns:eu-west-1:123456789012:orders", "group": "g"}]

    def unreachable(self) -> SnsSink:
        return SnsSink(SnsSinkConfig(topic=self.arn, aws=nowhere()), CONTEXT)

    def unusable(self) -> SnsSink:
        return SnsSink(SnsSinkConfig(topic=f"{self.arn}-missing"), CONTEXT)

    def refused_event(self) -> Event:
        return refused(b"\xff")

    def stored(self) -> Iterable[str]:
        while True:
            messages = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages")
            if not messages:
                return self.arrived
            for message in messages:
                origin = Origin.parse(
                    Attribute("String", message["MessageAttributes"][ORIGIN_ATTRIBUTE]["StringValue"])
                )
                assert origin
                self.arrived.append(origin.id)
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
