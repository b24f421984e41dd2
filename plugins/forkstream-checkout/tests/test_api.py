from __future__ import annotations

import ast
import base64
import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from forkstream_checkout import api

from forkstream.demo.embedded_aws import EmbeddedAws, free_port


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    api._sns.cache_clear()
    yield
    api._sns.cache_clear()


@pytest.fixture
def queue(aws: EmbeddedAws, unique: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A queue that gets what the handler publishes."""
    sqs, sns = boto3.client("sqs"), boto3.client("sns")
    url: str = sqs.create_queue(QueueName=unique)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=unique)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    monkeypatch.setenv("TOPIC_ARN", topic)
    return url


def post(body: str | bytes | None) -> tuple[int, dict[str, Any]]:
    """Call the handler as API Gateway does with payload format 2.0: bytes come in base64."""
    event: dict[str, Any] = {"version": "2.0", "routeKey": "POST /checkout", "isBase64Encoded": isinstance(body, bytes)}
    if body is not None:
        event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    answer = api.handler(event, None)
    assert answer["headers"] == {"content-type": "application/json"}
    return answer["statusCode"], json.loads(answer["body"])


def received(queue: str, wait: int = 5) -> list[dict[str, Any]]:
    answer = boto3.client("sqs").receive_message(
        QueueUrl=queue, WaitTimeSeconds=wait, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def test_an_order_is_published_byte_for_byte_with_its_amount(
    queue: str, order_body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = post(order_body.decode())
    assert status == 201
    assert answer.keys() == {"order", "message"}
    assert answer["order"] == 15311
    assert json.loads(capsys.readouterr().out) == {"published": answer["message"]}
    (message,) = received(queue)
    assert message["Body"] == order_body.decode()
    assert message["MessageAttributes"] == {"amount": {"DataType": "Number", "StringValue": "450.00"}}


def test_both_payload_formats_and_base64_are_understood(queue: str, order_body: bytes) -> None:
    version_1 = {
        "version": "1.0",
        "httpMethod": "POST",
        "path": "/checkout",
        "body": order_body.decode(),
        "isBase64Encoded": False,
    }
    assert api.handler(version_1, None)["statusCode"] == 201
    assert post(order_body)[0] == 201
    assert post(order_body.decode())[0] == 201
    assert [message["Body"] for message in received(queue)] == [order_body.decode()] * 3


@pytest.mark.parametrize(
    ("amount", "digits"),
    [
        ("450.00", "450.00"),
        ("450", "450"),
        ("0.1", "0.1"),
        ("-3.5", "-3.5"),
        ("4.5e2", "450"),
        ("1E-7", "0.0000001"),
        ("99999999999999999.99", "99999999999999999.99"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ],
)
def test_the_amount_is_written_with_exactly_its_digits(amount: str, digits: str) -> None:
    assert api.read_order(f'{{"id": 1, "payment": {{"amount": {amount}}}}}') == (1, digits)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "not JSON"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"id": 1, "payment": {"amount": 1e99999999999999999999}}', "not JSON"),
        ('{"id": 1, "payment": {"amount": ' + "9" * 5000 + "}}", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"id": "\ud800"}', "not UTF-8"),
        ("x" * 262_144, "too large"),
        ("[]", "object"),
        ('{"id": 1}', "`payment`"),
        ('{"id": 1, "payment": []}', "`payment`"),
        ('{"payment": {"amount": 1}}', "`id`"),
        ('{"id": true, "payment": {"amount": 1}}', "`id`"),
        ('{"id": "1", "payment": {"amount": 1}}', "`id`"),
        ('{"id": 1, "payment": {}}', "`payment.amount`"),
        ('{"id": 1, "payment": {"amount": null}}', "`payment.amount`"),
        ('{"id": 1, "payment": {"amount": true}}', "`payment.amount`"),
        ('{"id": 1, "payment": {"amount": "450"}}', "`payment.amount`"),
        ('{"id": 1, "payment": {"amount": NaN}}', "finite"),
        ('{"id": 1, "payment": {"amount": -Infinity}}', "finite"),
        ('{"id": 1, "payment": {"amount": 1e99999999999999}}', "finite"),
        ('{"id": 1, "payment": {"amount": 1e-99999999999999}}', "finite"),
        ('{"id": 1, "payment": {"amount": 123456789012345678901234567890123456789}}', "38 digits"),
    ],
)
def test_a_bad_order_is_refused_with_the_reason_and_not_published(
    queue: str, body: str | bytes | None, reason: str
) -> None:
    status, answer = post(body)
    assert status == 400
    assert answer.keys() == {"error"}
    assert reason in answer["error"]
    assert received(queue, wait=0) == []


def test_broken_base64_is_refused() -> None:
    answer = api.handler({"body": "%%%", "isBase64Encoded": True}, None)
    assert answer["statusCode"] == 400
    assert "UTF-8" in answer["body"]


def test_a_publish_that_fails_is_answered_502_and_logs_no_value(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], order_body: bytes
) -> None:
    monkeypatch.setenv("TOPIC_ARN", f"arn:aws:sns:{aws.region}:000000000000:nobody-made-this")
    status, answer = post(order_body.decode())
    assert status == 502
    assert answer.keys() == {"error"}
    assert json.loads(capsys.readouterr().out) == {"failed": "NotFoundException"}


def test_a_topic_out_of_reach_is_answered_502(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, order_body: bytes
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("TOPIC_ARN", f"arn:aws:sns:{aws.region}:000000000000:orders")
    assert post(order_body.decode())[0] == 502


def test_the_file_needs_nothing_that_lambda_does_not_bring() -> None:
    imported = set()
    for node in ast.walk(ast.parse(inspect.getsource(api))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == {"boto3", "botocore"}
