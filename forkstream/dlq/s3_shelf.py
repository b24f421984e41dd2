"""The objects of an s3 sink."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.dlq.patiently import patiently
from forkstream.dlq.shelf import Listed, Shelf, fixed_start
from forkstream.sinks.s3 import S3Sink

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


class S3Shelf(Shelf):
    """Reads a bucket below the sink's prefix: that takes s3:ListBucket and s3:GetObject."""

    def __init__(self, sink: S3Sink) -> None:
        super().__init__(sink, fixed_start(sink.config.prefix))
        self._aws = sink.config.aws.over(sink.context.aws)
        self._name = sink.config.bucket
        self._bucket: dict[str, Any] = {"Bucket": sink.config.bucket}
        if sink.config.expected_bucket_owner is not None:
            self._bucket["ExpectedBucketOwner"] = sink.config.expected_bucket_owner
        self._s3: S3Client

    @property
    def name(self) -> str:
        return f"s3://{self._name}/{self.start}"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        async with super().opened(), AwsSession(self._aws).client("s3") as self._s3:
            yield self

    async def listed(self) -> AsyncIterator[Listed]:
        more: Any = {}
        while True:
            page = await patiently(lambda: self._page(more))  # noqa: B023  # called before the next turn
            for found in page.get("Contents", []):
                yield Listed(found["Key"], found["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def get(self, key: str) -> bytes:
        with translating("s3:GetObject", self._name):
            answer = await self._s3.get_object(**self._bucket, Key=key)
            async with answer["Body"] as body:
                return await body.read()

    async def _page(self, more: Any) -> Any:
        with translating("s3:ListBucket", self._name):
            return await self._s3.list_objects_v2(**self._bucket, Prefix=self.start, **more)
