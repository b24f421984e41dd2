from __future__ import annotations

import boto3  # type: ignore[import-untyped]  # ships no types

from forkstream.demo.embedded_aws import EmbeddedAws


def test_a_message_comes_back(aws: EmbeddedAws, unique: str) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "hello"
