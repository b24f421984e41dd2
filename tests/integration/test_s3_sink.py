"""Objects in S3: each once, whole, with its checksum, whatever becomes of the answers."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import zlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from aiohttp import web

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import UNANSWERED, Context, Payload, Surroundings
from forkstream.settings import Size
from forkstream.sinks.s3 import S3Config, S3Sink, SseKms
from forkstream.stages.sanitize import Sanitize, SanitizeConfig
from tests.integration.scripted_aws import (
    Act,
    Request,
    Wire,
    answer,
    hold_until,
    log_in_first,
    lose_answer,
    lose_request,
    scripted_aws,
)

PAYLOAD = Payload(b'{"id":1}\n{"id":2}\n', "application/x-ndjson", {"events": "2", "fork": "backup"})
KEY = "orders/01ARZ3NDEKTSV4RRFFQ69G5FAV.ndjson"
MIB = 2**20


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


class Bucket:
    """A bucket of this test's own, the wire to it, and sinks that put into it."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self.wire = wire
        self.s3 = boto3.client("s3")

    def sink(self, **settings: Any) -> S3Sink:
        settings = {"bucket": self.name, **settings}
        return S3Sink(S3Config(aws=self.wire.settings, **settings), Context(fork="backup"))

    async def put(self, payload: Payload = PAYLOAD, *, attempt: int = 1, key: str = KEY, **settings: Any) -> None:
        async with self.sink(**settings) as sink:
            await sink.put(key, payload, attempt=attempt)

    def get(self, key: str = KEY) -> Any:
        return self.s3.get_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def uploads(self) -> list[Any]:
        return list(self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", []))


@pytest.fixture
async def bucket(aws: EmbeddedAws, unique: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # botocore adds none of its own
    boto3.client("s3").create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    async with scripted_aws(aws) as wire:
        yield Bucket(unique, wire)


def large(parts: float = 3.2) -> Payload:
    return Payload(os.urandom(int(parts * 5 * MIB)), "application/zstd", {"events": "9"})


IN_PARTS: dict[str, Any] = {"multipart_threshold": Size(5 * MIB), "part_size": Size(5 * MIB)}


async def test_an_object_is_stored_as_it_came(bucket: Bucket) -> None:
    await bucket.put()
    found = bucket.get()
    assert found["Body"].read() == PAYLOAD.data
    assert found["ContentType"] == "application/x-ndjson"
    assert found["Metadata"] == {"events": "2", "fork": "backup"}
    assert "ContentEncoding" not in found
    assert found["ChecksumCRC32"] == crc32(PAYLOAD.data)


async def test_contract_7_a_put_replaces_nothing_and_carries_its_checksum(bucket: Bucket) -> None:
    await bucket.put()
    (request,) = bucket.wire.requests
    assert request.headers["If-None-Match"] == "*"
    assert request.headers["x-amz-checksum-crc32"] == crc32(PAYLOAD.data)
    assert request.headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"  # no hash of megabytes in the loop
    with pytest.raises(PermanentError) as refused:
        await bucket.put(Payload(b"other", "text/plain"))
    assert refused.value.code == "key_taken"
    assert bucket.get()["Body"].read() == PAYLOAD.data


async def test_contract_7_another_object_is_told_apart_by_checksum_or_length(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="same-length", Body=PAYLOAD.data[::-1], ChecksumAlgorithm="CRC32")
    bucket.s3.put_object(Bucket=bucket.name, Key="no-crc", Body=b"longer" + PAYLOAD.data, ChecksumAlgorithm="SHA256")
    for key in ("same-length", "no-crc"):
        with pytest.raises(PermanentError) as refused:
            await bucket.put(key=key)
        assert refused.value.code == "key_taken"


async def test_contract_7_an_object_that_cannot_be_looked_at_for_now_is_looked_at_again(bucket: Bucket) -> None:
    await bucket.put()
    bucket.wire.when("HeadObject", answer(503))
    with pytest.raises(TransientError):
        await bucket.put(Payload(b"other", "text/plain"))


async def test_contract_7_an_answer_lost_under_the_first_attempt_is_success(bucket: Bucket) -> None:
    bucket.wire.when("PutObject", lose_answer)
    await bucket.put()
    assert bucket.wire.actions == {"PutObject": 2, "HeadObject": 1}  # aiohttp repeats a PUT by itself
    assert bucket.keys() == [KEY]


async def test_contract_7_a_412_on_a_later_attempt_means_it_is_there(bucket: Bucket) -> None:
    bucket.wire.when("PutObject", lose_answer)
    bucket.wire.when("PutObject", lose_request)
    with pytest.raises(TransientError):
        await bucket.put()
    await bucket.put(attempt=2)
    assert bucket.wire.actions == {"PutObject": 3}
    assert bucket.get()["Body"].read() == PAYLOAD.data


async def test_contract_7_a_writer_that_may_not_read_takes_its_own_key_for_its_own_object(bucket: Bucket) -> None:
    await bucket.put()
    bucket.wire.when("HeadObject", answer(403))
    await bucket.put()


async def test_contract_7_an_object_that_vanished_again_is_put_again(bucket: Bucket) -> None:
    bucket.wire.when("PutObject", answer(412, "PreconditionFailed"))
    with pytest.raises(TransientError):
        await bucket.put()
    await bucket.put(attempt=2)
    assert bucket.keys() == [KEY]


async def test_contract_7_a_409_is_tried_again(bucket: Bucket) -> None:
    bucket.wire.when("PutObject", answer(409, "ConditionalRequestConflict"))
    with pytest.raises(TransientError) as failed:
        await bucket.put()
    assert failed.value.code == "conflict"


@pytest.mark.parametrize(
    ("act", "kind", "code"),
    [
        (answer(503, "SlowDown", "Please reduce your request rate."), TransientError, "throttled"),
        (answer(500, "InternalError"), TransientError, "server_error"),
        (answer(400, "RequestTimeout"), TransientError, "timeout"),
        (answer(400, "XAmzContentChecksumMismatch"), TransientError, "damaged_in_transit"),
        (answer(403, "AccessDenied", "Access Denied"), UnavailableError, "denied"),
        (answer(404, "NoSuchBucket"), UnavailableError, "missing"),
        (
            answer(400, "KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/k is disabled."),
            UnavailableError,
            "key_unusable",
        ),
        (answer(400, "EntityTooLarge"), PermanentError, "too_large"),
    ],
)
async def test_contract_2_each_refusal_is_of_its_kind(
    bucket: Bucket, act: Act, kind: type[DeliveryError], code: str
) -> None:
    bucket.wire.when("PutObject", act)
    with pytest.raises(kind) as failed:
        await bucket.put()
    assert failed.value.code == code
    assert f"s3:PutObject on {bucket.name}" in failed.value.detail
    assert KEY not in failed.value.detail


async def test_a_missing_bucket_halts_the_fork_and_is_found_by_check(bucket: Bucket) -> None:
    with pytest.raises(UnavailableError):
        await bucket.put(bucket=f"{bucket.name}-not")
    async with bucket.sink(bucket=f"{bucket.name}-not") as sink:
        with pytest.raises(UnavailableError) as failed:
            await sink.check()
    assert failed.value.code == "missing"


async def test_check_proves_the_right_to_put_and_leaves_nothing(bucket: Bucket) -> None:
    async with bucket.sink(prefix="orders/%Y/", sse=SseKms(kms_key="alias/backup")) as sink:
        await sink.check()
        (begun,) = bucket.wire.seen("CreateMultipartUpload")
        assert re.match(rf"/{bucket.name}/orders/20\d\d/forkstream-check\?uploads", begun.target)
        assert begun.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/backup"
        bucket.wire.when("CreateMultipartUpload", answer(403, "AccessDenied"))
        with pytest.raises(UnavailableError):
            await sink.check()
    assert bucket.keys() == []
    assert bucket.uploads() == []


async def test_encryption_class_and_owner_go_with_every_object(bucket: Bucket) -> None:
    settings: dict[str, Any] = {
        "sse": SseKms(kms_key="alias/backup"), "storage_class": "STANDARD_IA", "expected_bucket_owner": "000000000000"
    }  # fmt: skip
    await bucket.put(**settings)
    await bucket.put(large(1), key="large", **settings, **IN_PARTS)
    for request in [*bucket.wire.seen("PutObject"), *bucket.wire.seen("CreateMultipartUpload")]:
        assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/backup"
        assert request.headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
        assert request.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert {request.headers["x-amz-expected-bucket-owner"] for request in bucket.wire.requests} == {"000000000000"}
    assert bucket.get()["StorageClass"] == "STANDARD_IA"


async def test_without_settings_the_buckets_own_defaults_hold(bucket: Bucket) -> None:
    await bucket.put()
    (request,) = bucket.wire.requests
    assert not [
        name for name in request.headers if re.search("encryption|storage-class|owner|acl|tagging", name, re.IGNORECASE)
    ]
    await bucket.put(key="aes", sse="AES256")
    assert bucket.wire.requests[-1].headers["x-amz-server-side-encryption"] == "AES256"


async def test_a_large_object_goes_up_in_parts_and_arrives_whole(bucket: Bucket) -> None:
    payload = large()
    await bucket.put(payload, **IN_PARTS)
    found = bucket.get()
    assert found["Body"].read() == payload.data
    assert found["ContentType"] == "application/zstd"
    assert found["Metadata"] == {"events": "9"}
    assert bucket.wire.actions == {"CreateMultipartUpload": 1, "UploadPart": 4, "CompleteMultipartUpload": 1}
    for part in bucket.wire.seen("UploadPart"):
        assert part.headers["x-amz-checksum-crc32"] == crc32(part.body)
    (completed,) = bucket.wire.seen("CompleteMultipartUpload")
    assert completed.headers["If-None-Match"] == "*"
    assert completed.headers["x-amz-mp-object-size"] == str(len(payload.data))
    assert bucket.uploads() == []


async def test_an_object_below_the_threshold_goes_up_at_once(bucket: Bucket) -> None:
    await bucket.put(Payload(bytes(5 * MIB - 1), "x"), **IN_PARTS)
    await bucket.put(Payload(bytes(5 * MIB), "x"), key="at-it", **IN_PARTS)
    assert bucket.wire.actions == {
        "PutObject": 1,
        "CreateMultipartUpload": 1,
        "UploadPart": 1,
        "CompleteMultipartUpload": 1,
    }


async def test_the_parts_under_way_are_bounded(bucket: Bucket) -> None:
    released = asyncio.Event()
    bucket.wire.when("UploadPart", hold_until(released), times=None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bucket.put(large(4), parts_at_once=2, **IN_PARTS))
        await bucket.wire.until(lambda: bucket.wire.under_way == 2)
        released.set()
    assert bucket.wire.most_at_once == 2
    assert bucket.wire.actions["UploadPart"] == 4


async def test_a_part_that_fails_leaves_no_object_and_no_upload(bucket: Bucket) -> None:
    bucket.wire.when("UploadPart", answer(503, "SlowDown"))
    with pytest.raises(TransientError) as failed:
        await bucket.put(large(), **IN_PARTS)
    assert failed.value.code == "throttled"
    assert bucket.keys() == []
    assert bucket.uploads() == []


async def test_a_cancelled_upload_is_aborted(bucket: Bucket) -> None:
    bucket.wire.when("UploadPart", hold_until(asyncio.Event()), times=None)
    async with anyio.create_task_group() as attempt:
        attempt.start_soon(partial(bucket.put, large(), **IN_PARTS))
        await bucket.wire.until(lambda: bucket.wire.actions["UploadPart"] > 0)
        attempt.cancel_scope.cancel()
    assert bucket.wire.actions["AbortMultipartUpload"] == 1
    assert bucket.uploads() == []


async def test_an_abort_that_fails_does_not_hide_why(bucket: Bucket) -> None:
    bucket.wire.when("UploadPart", answer(503, "SlowDown"))
    bucket.wire.when("AbortMultipartUpload", answer(403, "AccessDenied"))
    with pytest.raises(TransientError):
        await bucket.put(large(), **IN_PARTS)


@pytest.mark.parametrize("action", ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
async def test_a_page_that_a_proxy_puts_in_place_of_an_answer_is_none(bucket: Bucket, action: str) -> None:
    bucket.wire.when(action, log_in_first)
    with pytest.raises(TransientError) as failed:
        await (bucket.put() if action == "PutObject" else bucket.put(large(), **IN_PARTS))
    assert failed.value.code == "damaged_in_transit"
    assert bucket.keys() == bucket.uploads() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<Error><Code>InternalError</Code><Message>try again</Message></Error>", "server_error"),
        ("<Error><Code>SlowDown</Code><Message>try again</Message></Error>", "throttled"),
        ("", "server_error"),
    ],
)
async def test_a_completion_that_fails_behind_a_200_is_tried_again(bucket: Bucket, body: str, code: str) -> None:
    async def begins_well(_: Wire, __: Request) -> web.Response:  # S3 sends spaces while it puts the parts together
        return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?>\n   {body}', content_type="application/xml")

    bucket.wire.when("CompleteMultipartUpload", begins_well)
    payload = large()
    with pytest.raises(TransientError) as failed:
        await bucket.put(payload, **IN_PARTS)
    assert failed.value.code == code
    await bucket.put(payload, attempt=2, **IN_PARTS)
    assert bucket.get()["Body"].read() == payload.data
    assert bucket.uploads() == []


async def test_contract_7_a_completion_whose_answer_was_lost_is_found_by_the_next_attempt(bucket: Bucket) -> None:
    payload = large()
    bucket.wire.when("CompleteMultipartUpload", lose_answer)
    with pytest.raises(TransientError):
        await bucket.put(payload, **IN_PARTS)
    await bucket.put(payload, attempt=2, **IN_PARTS)
    assert bucket.keys() == [KEY]
    assert bucket.get()["Body"].read() == payload.data
    assert bucket.uploads() == []


async def test_contract_7_parts_replace_nothing_either(bucket: Bucket) -> None:
    await bucket.put()
    with pytest.raises(PermanentError) as refused:
        await bucket.put(large(), **IN_PARTS)
    assert refused.value.code == "key_taken"
    assert bucket.get()["Body"].read() == PAYLOAD.data
    assert bucket.uploads() == []


@pytest.mark.parametrize("body", ["<ServerSideEncryptionConfiguration/>", "<ListBucketResult/>"])
async def test_what_does_not_tell_how_the_bucket_encrypts_is_told_as_unanswered(bucket: Bucket, body: str) -> None:
    async def says_nothing(_: Wire, __: Request) -> web.Response:
        return web.Response(text=body, content_type="application/xml")

    bucket.wire.when("GET", says_nothing)
    fork = Surroundings(connected=True, before=[Sanitize(SanitizeConfig(drop=("card",)), Context(fork="backup"))])
    async with bucket.sink() as sink:
        (told,) = [one for one in await sink.advise(fork) if one.code == UNANSWERED]
    assert told.found.startswith("the bucket's default encryption: damaged_in_transit (")


async def test_the_prefix_is_rendered_from_the_event(bucket: Bucket) -> None:
    sink = bucket.sink(prefix="orders/dt=%Y-%m-%d/c={customer.id}/")
    event = Event(b'{"customer":{"id":65144}}', id="m", sent_at=0.0)
    assert sink.partition(event) == "orders/dt=1970-01-01/c=65144/"
