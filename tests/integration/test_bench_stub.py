"""The stub that a benchmark runs against: its answers are AWS's, and its queue keeps SQS's promises."""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import md5 as _md5
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aioboto3  # type: ignore[import-untyped]  # ships no types
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from forkstream.bench.machine import Cores
from forkstream.bench.stub.weather import Climate
from forkstream.bench.stub_process import StubProcess

BODIES = [b'{"id":1,"note":"100 % \\"sure\\""}', '{"id":2,"name":"Ása 値"}'.encode(), b'{"id":3}']


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubProcess]:
    directory = tmp_path_factory.mktemp("stub")
    (directory / "bodies").write_bytes(b"\n".join(BODIES))
    with StubProcess(directory, directory / "bodies", Cores()) as stub:
        yield stub


@pytest.fixture(autouse=True)
def _environment(stub: StubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stub.environment.items():
        monkeypatch.setenv(name, value)
    stub.restart()


def md5(data: bytes) -> str:
    return _md5(data, usedforsecurity=False).hexdigest()


def client(service: str) -> Any:
    return _client(service, os.environ["AWS_ENDPOINT_URL"])


@cache
def _client(service: str, endpoint: str) -> Any:  # making one takes as long as twenty calls
    return boto3.client(service, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))


def url_of(queue: str) -> str:
    url: str = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    return url


def receive(url: str, **wishes: Any) -> list[Any]:
    messages: list[Any] = client("sqs").receive_message(QueueUrl=url, **wishes).get("Messages", [])
    return messages


def test_messages_come_as_sqs_hands_them_out() -> None:
    url = url_of("orders")
    assert url.endswith("/000000000000/orders")
    before = time.time() * 1000
    messages = receive(url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], VisibilityTimeout=60)
    assert [message["Body"].encode() for message in messages] == (BODIES * 4)[:10]
    assert all(md5(one["Body"].encode()) == one["MD5OfBody"] for one in messages)
    assert len({one["MessageId"] for one in messages}) == len({one["ReceiptHandle"] for one in messages}) == 10
    assert {one["Attributes"]["ApproximateReceiveCount"] for one in messages} == {"1"}
    assert all(abs(int(one["Attributes"]["SentTimestamp"]) - before) < 60_000 for one in messages)


def test_attributes_that_nobody_asked_for_stay_away() -> None:
    assert "Attributes" not in receive(url_of("orders"))[0]
    (message,) = receive(url_of("orders"), MessageSystemAttributeNames=["SentTimestamp"])
    assert list(message["Attributes"]) == ["SentTimestamp"]


def test_what_is_deleted_is_counted_once_with_its_age(stub: StubProcess) -> None:
    url = url_of("orders")
    messages = receive(url, MaxNumberOfMessages=10)
    entries = [{"Id": f"e{place}", "ReceiptHandle": one["ReceiptHandle"]} for place, one in enumerate(messages)]
    for _ in range(2):  # a second delete with the same handle is no error
        answer = client("sqs").delete_message_batch(QueueUrl=url, Entries=entries)
        assert [one["Id"] for one in answer["Successful"]] == [f"e{place}" for place in range(10)]
        assert "Failed" not in answer
    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=receive(url)[0]["ReceiptHandle"])
    look = stub.look()
    assert (look.tally.deleted, look.held, sum(look.tally.latencies.values())) == (11, 0, 11)


def test_a_message_that_is_shown_again_comes_again_and_an_older_handle_deletes_nothing(stub: StubProcess) -> None:
    url = url_of("orders")
    (first,) = receive(url)
    client("sqs").change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    (second,) = receive(url, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert second["MessageId"] == first["MessageId"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert stub.look().held == 1
    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    assert (stub.look().held, stub.look().tally.repeated) == (0, 1)


def test_a_message_comes_again_when_its_visibility_timeout_is_over() -> None:
    url = url_of("orders")
    ids = {one["MessageId"] for one in receive(url, MaxNumberOfMessages=2, VisibilityTimeout=1)}
    seen: set[str] = set()
    deadline = time.monotonic() + 60
    while not ids <= seen and time.monotonic() < deadline:
        again = receive(url, MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"])
        seen |= {one["MessageId"] for one in again if one["Attributes"]["ApproximateReceiveCount"] == "2"}
    assert ids <= seen


def test_batches_that_sqs_refuses_are_refused() -> None:
    url = url_of("orders")
    entries = [{"Id": str(place), "ReceiptHandle": "no handle"} for place in range(11)]
    with pytest.raises(ClientError) as refusal:
        client("sqs").delete_message_batch(QueueUrl=url, Entries=entries)
    assert refusal.value.response["Error"]["Code"].endswith("TooManyEntriesInBatchRequest")
    answer = client("sqs").delete_message_batch(QueueUrl=url, Entries=entries[:1])
    assert [(one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [("ReceiptHandleIsInvalid", True)]


def test_sending_is_answered_with_the_checksums_of_what_was_sent() -> None:
    entry = {"Id": "a", "MessageBody": "{}", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"}}}
    answer = client("sqs").send_message_batch(QueueUrl=url_of("destination"), Entries=[entry])
    (sent,) = answer["Successful"]
    assert sent["MD5OfMessageBody"] == md5(b"{}")
    assert len(sent["MD5OfMessageAttributes"]) == 32


async def test_an_asynchronous_client_is_answered_too(stub: StubProcess) -> None:
    async with aioboto3.Session().client("sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName="orders"))["QueueUrl"]
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        assert answer["Attributes"]["QueueArn"] == "arn:aws:sqs:eu-west-1:000000000000:orders"
        assert len((await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=7))["Messages"]) == 7


def test_objects_are_taken_with_their_checksum(stub: StubProcess) -> None:
    s3, body = client("s3"), b"x" * 300_000
    checksum = b64encode(zlib.crc32(body).to_bytes(4)).decode()
    put = s3.put_object(Bucket="b", Key="a/b.zst", Body=body, ChecksumCRC32=checksum, IfNoneMatch="*")
    assert put["ETag"] == f'"{md5(body)}"'
    assert put["ChecksumCRC32"] == checksum
    s3.put_object(Bucket="b", Key="waits-for-100-continue", Body=BytesIO(body))
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket="b", Key="a", Body=b"y", ChecksumCRC32=checksum)
    upload = s3.create_multipart_upload(Bucket="b", Key="large")["UploadId"]
    part = s3.upload_part(Bucket="b", Key="large", UploadId=upload, PartNumber=1, Body=body)
    s3.complete_multipart_upload(
        Bucket="b", Key="large", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    tally = stub.look().tally
    assert (tally.puts, tally.put_bytes, tally.refused) == (3, 900_000, 0)


def test_rows_are_taken_25_at_a_time(stub: StubProcess) -> None:
    dynamodb = client("dynamodb")
    puts = [{"PutRequest": {"Item": {"Id": {"S": str(number)}}}} for number in range(26)]
    assert dynamodb.batch_write_item(RequestItems={"t": puts[:25]})["UnprocessedItems"] == {}
    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.batch_write_item(RequestItems={"t": puts})
    dynamodb.put_item(TableName="t", Item={"Id": {"S": "1"}})
    assert dynamodb.describe_table(TableName="t")["Table"]["TableStatus"] == "ACTIVE"
    assert stub.look().tally.items == 26


def test_data_keys_open_again() -> None:
    kms = client("kms")
    key = kms.generate_data_key(KeyId="alias/a", KeySpec="AES_256")
    assert len(key["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=key["CiphertextBlob"])["Plaintext"] == key["Plaintext"]
    assert kms.describe_key(KeyId="alias/a")["KeyMetadata"]["Arn"] == key["KeyId"]


def bulk(stub: StubProcess, body: bytes, query: str = "", **headers: str) -> Any:
    kind = {"Content-Type": "application/x-ndjson"}
    asked = Request(f"{stub.url}/_bulk{query}", body, kind | headers)  # noqa: S310  # our own address
    with urlopen(asked) as answer:  # noqa: S310  # our own address
        return json.loads(answer.read())


def test_bulk_requests_are_answered_by_document(stub: StubProcess) -> None:
    body = b'{"index":{"_index":"orders","_id":"7"}}\n{"id":7}\n{"delete":{"_index":"orders","_id":"8"}}\n'
    answer = bulk(stub, body)
    assert answer["items"][0]["index"]["_id"] == "7"
    assert answer["items"][0]["index"].keys() >= {"_index", "_version", "result", "_shards", "_seq_no", "status"}
    assert (answer["errors"], len(answer["items"])) == (False, 2)
    filtered = bulk(stub, gzip.compress(body[: body.index(b'{"delete"')]), "?filter_path=errors,items.*.status", **GZIP)
    assert filtered == {"errors": False, "items": [{"index": {"status": 201}}]}
    assert stub.look().tally.documents == 3
    with pytest.raises(HTTPError, match="400"):
        bulk(stub, body[:-1])


GZIP = {"Content-Encoding": "gzip"}


def test_an_open_loop_sends_by_its_schedule_whoever_receives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bodies").write_bytes(b"{}")
    with StubProcess(tmp_path, tmp_path / "bodies", Cores(), rate=20.0) as slow:
        monkeypatch.setenv("AWS_ENDPOINT_URL", slow.url)
        url = url_of("orders")
        sent: list[int] = []
        while len(sent) < 5:
            found = receive(url, WaitTimeSeconds=5, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
            sent += [int(one["Attributes"]["SentTimestamp"]) for one in found]
        assert {later - earlier for earlier, later in pairwise(sent)} <= {49, 50, 51}
        deadline = time.monotonic() + 60
        while not slow.look().waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        assert slow.look().waiting


def test_a_bad_day_fails_requests_and_single_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bodies").write_bytes(b"{}")
    with StubProcess(tmp_path, tmp_path / "bodies", Cores(), climate=Climate(errors=0.2, throttle=0.2)) as bad:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bad.url)
        codes: set[str] = set()
        dynamodb, partial = client("dynamodb"), False
        puts = [{"PutRequest": {"Item": {"Id": {"S": str(number)}}}} for number in range(25)]
        for _ in range(40):
            try:
                partial |= bool(dynamodb.batch_write_item(RequestItems={"t": puts})["UnprocessedItems"])
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])
            except HTTPClientError as error:
                codes.add(type(error).__name__)
        assert partial
        assert codes >= {"ProvisionedThroughputExceededException", "InternalServerError", "ConnectionClosedError"}


@pytest.mark.unmeasured
def test_an_answer_that_is_lost_leaves_its_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bodies").write_bytes(b"{}")
    with StubProcess(tmp_path, tmp_path / "bodies", Cores(), climate=Climate(errors=0.5)) as bad:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bad.url)
        s3, sqs = client("s3"), client("sqs")
        url = f"{bad.url}/000000000000/q"
        refused, heard, heads = 0, 0, []
        for number in range(60):
            with suppress(ClientError, HTTPClientError):
                heard += len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=60)["Messages"])
            for _ in range(12):  # by then one of them is heard
                try:
                    s3.put_object(Bucket="b", Key=str(number), Body=b"abc", IfNoneMatch="*")
                except ClientError as error:
                    refused += error.response["Error"]["Code"] == "PreconditionFailed"
                except HTTPClientError:
                    pass
            with suppress(ClientError, HTTPClientError):
                heads.append(s3.head_object(Bucket="b", Key=str(number), ChecksumMode="ENABLED"))
        assert refused > 60
        checksum = b64encode(zlib.crc32(b"abc").to_bytes(4)).decode()
        assert {(head["ContentLength"], head["ChecksumCRC32"]) for head in heads} == {(3, checksum)}
        assert bad.look().tally.received > heard
