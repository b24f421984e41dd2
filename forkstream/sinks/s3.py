"""A sink that puts objects into an S3 bucket, each once, whole and with its checksum."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from msgspec import Meta

from forkstream.aws.bucket_name import is_old, wrong_with
from forkstream.aws.errors import translating
from forkstream.aws.key_permission import key_permission
from forkstream.aws.sdk_answer import told_by
from forkstream.aws.session import AwsSession
from forkstream.errors import DeliveryError, PermanentError, TransientError
from forkstream.event import Event
from forkstream.ports import Advice, BatchDefaults, Context, Load, ObjectSink, Payload, Permission, Surroundings
from forkstream.settings import AwsSettings, Settings, Size
from forkstream.sinks.at_rest import in_the_clear, unreadable_for_athena
from forkstream.sinks.crc32 import crc32
from forkstream.sinks.multipart import MultipartUpload
from forkstream.sinks.prefix import Prefix, PrefixSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_PROBE = "forkstream-check"
_PUT, _READ = "s3:PutObject", "s3:GetObject"


class SseKms(Settings):
    """Encryption at rest with a KMS key; objects share a bucket key, so that S3 asks KMS seldom."""

    kms_key: Annotated[str, Meta(description="the key's id or ARN, or alias/name", min_length=1)]


class S3Config(PrefixSettings):
    """Where the objects go, and how S3 keeps them."""

    bucket: Annotated[str, Meta(description="the bucket's name, or an access point's ARN", min_length=1)]
    sse: Annotated[
        Literal["AES256"] | SseKms | None,
        Meta(description="encryption at rest: AES256 or {kms_key: …}; left out, the bucket's own default holds"),
    ] = None
    storage_class: Annotated[
        Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]
        | None,
        Meta(description="storage class of the objects; left out, S3 takes STANDARD"),
    ] = None
    expected_bucket_owner: (
        Annotated[
            str, Meta(description="account that must own the bucket, or nothing is written", pattern=r"^[0-9]{12}$")
        ]
        | None
    ) = None
    multipart_threshold: Annotated[
        Size, Meta(description="an object of this size or more goes up in parts", ge=5 * 2**20, le=5 * 2**30)
    ] = Size(16 * 2**20)
    part_size: Annotated[Size, Meta(description="size of a part (S3: 5 MiB to 5 GiB)", ge=5 * 2**20, le=5 * 2**30)] = (
        Size(8 * 2**20)
    )
    athena: Annotated[
        bool,
        Meta(description="the objects are to be queried with Athena: `forkstream check` warns of what it cannot read"),
    ] = False
    parts_at_once: Annotated[int, Meta(description="parts of one object under way at once", ge=1)] = 4
    aws: AwsSettings = AwsSettings()


class S3Sink(ObjectSink[S3Config]):
    """Puts each object with ``If-None-Match: *``, so that no object is ever replaced, and a CRC-32 that S3 verifies and keeps.

    It needs s3:PutObject, for parts s3:AbortMultipartUpload too, and with a KMS key kms:GenerateDataKey, for parts
    kms:Decrypt too. With s3:GetObject it can look at an object that it finds in its place.
    """

    batch_defaults = BatchDefaults(max_events=10_000, max_bytes=5 * 2**20, max_age=60.0)

    def __init__(self, config: S3Config, context: Context) -> None:
        super().__init__(config, context)
        wrong = wrong_with(config.bucket)
        if wrong:
            raise ValueError(f"bucket: {config.bucket!r} is no name of a bucket: {wrong}")
        self._prefix = Prefix(config)
        self._s3: S3Client
        self._stack = AsyncExitStack()
        self._bucket: dict[str, Any] = {"Bucket": config.bucket}
        if config.expected_bucket_owner is not None:
            self._bucket["ExpectedBucketOwner"] = config.expected_bucket_owner
        self._kept: dict[str, Any] = _how_it_is_kept(config)

    async def __aenter__(self) -> Self:
        session = AwsSession(self.config.aws.over(self.context.aws))
        # TLS and the CRC-32 guard the body: a SHA-256 of it in the signature would hold up the loop for 12 ms at 5 MiB
        config = AioConfig(s3={"payload_signing_enabled": False})
        self._s3 = await self._stack.enter_async_context(session.client("s3", config=config))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def billed(self, load: Load) -> Mapping[str, float]:
        """A put an object; one that goes up in parts is a put a part, and two more."""
        size = load.events * load.event_bytes / load.batches if load.batches else 0.0
        parts = -(-size // self.config.part_size) + 2 if size >= self.config.multipart_threshold else 1
        return {"s3_put": load.batches * parts}

    def permissions(self) -> Iterable[Permission]:
        aws = self.config.aws.over(self.context.aws)
        bucket = self.config.bucket
        at = f"{bucket}/object" if bucket.startswith("arn:") else f"arn:{{partition}}:s3:::{bucket}"
        writing = ("s3:PutObject", "s3:AbortMultipartUpload")
        yield Permission(actions=writing, resource=f"{at}/{self._prefix.fixed}*", aws=aws)
        encrypting = ("kms:GenerateDataKey", "kms:Decrypt")  # the second for objects in parts
        if isinstance(self.config.sse, SseKms):
            yield key_permission(encrypting, self.config.sse.kms_key, aws, key_of="s3")
        elif self.config.sse is None:
            yield Permission(actions=encrypting, key_of="s3", aws=aws)

    def partition(self, event: Event) -> str:
        """Render the prefix for this event."""
        return self._prefix(event)

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        """Put the object, in parts if it is large. Finding it there is success.

        On the first attempt that can only be an answer lost on the way (aiohttp repeats a PUT whose connection S3
        had just closed) or another object with our random key, so it is looked at.
        """
        checksum = crc32(payload.data)
        try:
            with translating(_PUT, self.config.bucket):
                await self._put(key, payload, checksum)
        except DeliveryError as error:
            if error.code != "condition_failed":
                raise
            if attempt == 1:
                await self._recognise(key, payload.data, checksum)

    async def check(self) -> None:
        """Begin an upload in parts under the prefix of now and abort it: it takes the rights, the bucket and the key of a put.

        Nothing of it stays. It cannot prove rights that depend on an event's fields in the prefix.
        """
        at = {**self._bucket, "Key": self._prefix(Event(b"{}", id=_PROBE, sent_at=time.time())) + _PROBE}
        upload = MultipartUpload(self._s3, at, part_size=self.config.part_size, at_once=1)
        with translating(_PUT, self.config.bucket):
            await upload.abort(await upload.begin(self._kept))

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        """Warn of what lies in the clear, by the bucket's own default where that may be asked (s3:GetEncryptionConfiguration)."""
        advice = [*unreadable_for_athena(fork, setting="athena")] if self.config.athena else []
        if is_old(self.config.bucket):
            advice.append(
                Advice(
                    code="bucket_name",
                    found=f"the bucket {self.config.bucket}",
                    why="S3 has given no bucket such a name since March 2018, and before only in us-east-1",
                    do="see that it is meant: lower-case letters, digits, . and -, 63 characters at most",
                    setting="bucket",
                )
            )
        if isinstance(self.config.sse, SseKms):
            return advice
        found = f"sse: {self.config.sse}" if self.config.sse else "no sse, so the bucket's own default holds"
        if self.config.sse is None and fork.connected and fork.sanitized and not fork.encrypted:
            try:
                by_default = await self._encryption()
            except DeliveryError as error:
                advice.append(Advice.unanswered("the bucket's default encryption", f"{error.code} ({error.detail})"))
            else:
                if by_default.startswith("aws:kms"):
                    return advice
                found = f"no sse, and the bucket's own default is {by_default}"
        remedy = "add the stage encrypt, or sse: {kms_key: …} with a key that few may use"
        return [*advice, *in_the_clear(fork, found=found, do=remedy)]

    async def _encryption(self) -> str:
        """Ask how the bucket encrypts where a put says nothing: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``."""
        with translating("s3:GetEncryptionConfiguration", self.config.bucket):
            try:
                answer = await self._s3.get_bucket_encryption(**self._bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ServerSideEncryptionConfigurationNotFoundError":
                    return "AES256"  # what S3 does since 2023 where nothing is configured
                raise
        # a store that does not know the question may list the bucket instead
        where = f"s3:GetEncryptionConfiguration on {self.config.bucket}"
        rules = told_by("S3", answer.get("ServerSideEncryptionConfiguration", {}), "Rules", where)
        default: str = rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "AES256")
        return default

    async def _put(self, key: str, payload: Payload, checksum: str) -> None:
        at = {**self._bucket, "Key": key}
        about = {"ContentType": payload.content_type, "Metadata": payload.metadata, **self._kept}
        if len(payload.data) < self.config.multipart_threshold:
            put = await self._s3.put_object(**at, **about, Body=payload.data, ChecksumCRC32=checksum, IfNoneMatch="*")
            told_by("S3", put, "ETag", f"{_PUT} on {self.config.bucket}")
        else:
            upload = MultipartUpload(self._s3, at, part_size=self.config.part_size, at_once=self.config.parts_at_once)
            await upload.run(payload.data, about)

    async def _recognise(self, key: str, data: bytes, checksum: str) -> None:
        try:
            with translating(_READ, self.config.bucket):
                found = await self._s3.head_object(**self._bucket, Key=key, ChecksumMode="ENABLED")
        except TransientError:
            raise
        except DeliveryError as error:
            if error.code == "missing":
                raise TransientError("conflict") from None  # it is gone again
            return  # a writer need not be allowed to read, and nobody else makes this key
        stored = found["ContentLength"], found.get("ChecksumCRC32", checksum)
        if stored != (len(data), checksum):
            raise PermanentError("key_taken", f"another object is already at {key}")


def _how_it_is_kept(config: S3Config) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if isinstance(config.sse, SseKms):
        kept = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": config.sse.kms_key, "BucketKeyEnabled": True}
    elif config.sse is not None:
        kept = {"ServerSideEncryption": config.sse}
    if config.storage_class is not None:
        kept["StorageClass"] = config.storage_class
    return kept
