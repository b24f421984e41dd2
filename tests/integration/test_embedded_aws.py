from __future__ import annotations

import socket

import boto3  # type: ignore[import-untyped]  # ships no types

from forkstream.demo.embedded_aws import EmbeddedAws


def test_a_message_comes_back(aws: EmbeddedAws, unique: str) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "hello"


def test_an_object_whose_client_hangs_up_in_the_middle_is_not_stored(aws: EmbeddedAws, unique: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": aws.region})
    host, port = aws.endpoint_url.removeprefix("http://").split(":")
    for body in (b"", b"half"):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"PUT /%s/cut HTTP/1.1\r\nHost: %s\r\nContent-Length: 8\r\n\r\n%s"
                % (unique.encode(), host.encode(), body)
            )
    s3.put_object(Bucket=unique, Key="whole", Body=b"whole")  # came later, so the others have been looked at
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=unique)["Contents"]] == ["whole"]
