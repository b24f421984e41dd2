from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.application import Application, deploy
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import CommandError


@pytest.fixture
def application(aws: EmbeddedAws, unique: str) -> Application:
    return deploy(aws, stack=unique)


def order(amount: str, order_id: int = 1) -> bytes:
    return b'{"id":%d,"payment":{"amount":%s,"card-number":"4111 1111 1111 1111"}}' % (order_id, amount.encode())


def call(url: str, method: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc)
    try:
        connection.request(method, parts.path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def post(application: Application, body: bytes) -> tuple[int, dict[str, Any]]:
    return call(application.checkout_url, "POST", body)


def receive(queue: str, wait: int = 5) -> list[tuple[bytes, dict[str, str]]]:
    """Take what is in a queue: each body with its attributes as type:value."""
    answer = boto3.client("sqs").receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait, MessageAttributeNames=["All"]
    )
    return [
        (
            message["Body"].encode(),
            {
                name: f"{attribute['DataType']}:{attribute['StringValue']}"
                for name, attribute in message.get("MessageAttributes", {}).items()
            },
        )
        for message in answer.get("Messages", [])
    ]


def test_an_order_of_100_or_more_reaches_all_four_queues_as_it_was_posted(application: Application) -> None:
    body = order("100.00", 7)
    status, answer = post(application, body)
    assert status == 201
    assert answer["order"] == 7
    assert application.queues.keys() == {"checkout", "storage-backup", "search-analytics", "replay"}
    for queue in application.queues.values():
        assert receive(queue) == [(body, {"amount": "Number:100.00"})]


def test_an_order_below_100_does_not_reach_search(application: Application) -> None:
    body = order("99.99")
    assert post(application, body)[0] == 201
    for fork in ("checkout", "storage-backup", "replay"):
        assert receive(application.queues[fork]) == [(body, {"amount": "Number:99.99"})]
    assert receive(application.queues["search-analytics"], wait=0) == []


def test_a_bad_order_reaches_no_queue(application: Application) -> None:
    status, answer = post(application, order('"450"'))
    assert status == 400
    assert "`payment.amount`" in answer["error"]
    assert all(receive(queue, wait=0) == [] for queue in application.queues.values())


def test_another_path_and_another_method_are_no_route(application: Application) -> None:
    for url, method in ((f"{application.checkout_url}s", "POST"), (application.checkout_url, "GET")):
        assert call(url, method)[0] == 404


def test_a_message_received_ten_times_goes_to_the_redrive_queue(application: Application) -> None:
    sqs = boto3.client("sqs")
    for fork, queue in application.queues.items():
        sqs.send_message(QueueUrl=queue, MessageBody=fork)
        for _ in range(10):
            (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
            sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        assert receive(queue, wait=0) == []
        assert receive(application.redrive_queues[fork]) == [(fork.encode(), {})]


def test_the_table_has_the_keys_that_the_checkout_step_writes(application: Application) -> None:
    table = boto3.client("dynamodb").describe_table(TableName=application.table)["Table"]
    assert table["KeySchema"] == [
        {"AttributeName": "CustomerId", "KeyType": "HASH"},
        {"AttributeName": "DateOrderId", "KeyType": "RANGE"},
    ]
    assert {column["AttributeType"] for column in table["AttributeDefinitions"]} == {"S"}


def test_the_key_encrypts_and_rotates(application: Application) -> None:
    kms = boto3.client("kms")
    assert kms.generate_data_key(KeyId=application.key_arn, KeySpec="AES_256")["KeyId"] == application.key_arn
    assert kms.get_key_rotation_status(KeyId=application.key_arn)["KeyRotationEnabled"]


def test_an_existing_topic_bucket_and_destination_are_attached_to(aws: EmbeddedAws, unique: str) -> None:
    topic = boto3.client("sns").create_topic(Name=unique)["TopicArn"]
    application = deploy(
        aws,
        stack=unique,
        TopicArn=topic,
        BackupBucketName=f"{unique}-mine",
        ReplayDestinationQueueName="elsewhere",
        BackupFilterPolicy='{"amount": [{"numeric": ["<", 10]}]}',
    )
    assert application.topic_arn == topic
    assert application.backup_bucket == f"{unique}-mine"
    assert application.environment["REPLAY_DESTINATION"] == "elsewhere"
    assert post(application, order("50"))[0] == 201
    assert receive(application.queues["checkout"]) == [(order("50"), {"amount": "Number:50"})]
    assert receive(application.queues["storage-backup"], wait=0) == []


def test_the_outputs_are_the_environment_of_the_config(application: Application) -> None:
    environment = application.environment
    assert environment["CHECKOUT_QUEUE"] == environment["REPLAY_DESTINATION"] == application.queues["checkout"]
    assert environment["BACKUP_BUCKET"] == application.backup_bucket
    assert environment["KMS_KEY"] == application.key_arn
    assert environment["FORKSTREAM_CONTROL"].startswith("ssm:/forkstream/")


def test_a_stack_that_fails_says_why(aws: EmbeddedAws, unique: str, tmp_path: Path) -> None:
    (tmp_path / "application.yaml").write_text("Resources: {Wrong: {Type: AWS::No::Such}}")
    with pytest.raises(CommandError, match=r"Wrong: .*AWS::No::Such"):
        deploy(aws, stack=unique, directory=tmp_path)


def test_an_operator_gets_a_role_on_request(aws: EmbeddedAws, unique: str) -> None:
    deploy(aws, stack=unique, OperatorArn="arn:aws:iam::123456789012:role/on-call")
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=unique)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert ":role/" in outputs["OperatorRole"]
