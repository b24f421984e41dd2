"""One object of S3 uploaded in parts, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from forkstream.aws.errors import translating
from forkstream.aws.sdk_answer import told_by
from forkstream.errors import DeliveryError
from forkstream.sinks.crc32 import crc32
from forkstream.sinks.each import each

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

MAX_PARTS = 10_000
"""Parts of one upload, see "Amazon S3 multipart upload limits"."""
_ABORT_SECONDS = 5.0


class MultipartUpload:
    """Uploads one object in parts, several at once: begun, uploaded, completed, or else aborted.

    Each part carries a CRC-32 that S3 verifies, and S3 combines them into the whole object's. The object appears
    with the completion or not at all, and never in the place of another. Raises what the client raises.
    """

    def __init__(self, s3: S3Client, at: Mapping[str, Any], *, part_size: int, at_once: int) -> None:
        self._s3 = s3
        self._at = at
        self._part_size = part_size
        self._at_once = at_once

    async def run(self, data: bytes, about: Mapping[str, Any]) -> None:
        """Upload ``data``; ``about`` is what the object is to be stored with."""
        upload = await self.begin(about)
        try:
            parts = await self._upload_parts(upload, data)
            whole = await self._s3.complete_multipart_upload(
                **self._at,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=len(data),
                IfNoneMatch="*",
            )
            self._told(whole, "ETag")
        except BaseException:
            await self.abort(upload)
            raise

    async def begin(self, about: Mapping[str, Any]) -> str:
        """Begin an upload and return its id; nothing can be seen of it but by those who list uploads."""
        begun = await self._s3.create_multipart_upload(
            **self._at, **about, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        return self._told(begun, "UploadId")

    async def abort(self, upload: str) -> None:
        """Abort an upload, also when cancelled, for 5 s at most. What cannot be aborted is left to the bucket's lifecycle rule."""
        with (
            anyio.move_on_after(_ABORT_SECONDS, shield=True),
            suppress(DeliveryError),
            translating("s3:AbortMultipartUpload", self._at["Bucket"]),
        ):
            await self._s3.abort_multipart_upload(**self._at, UploadId=upload)

    def _told(self, answer: Mapping[str, Any], member: str) -> str:
        told: str = told_by("S3", answer, member, f"s3:PutObject on {self._at['Bucket']}")
        return told

    async def _upload_parts(self, upload: str, data: bytes) -> list[CompletedPartTypeDef]:
        size = max(self._part_size, -(-len(data) // MAX_PARTS))
        done: dict[int, CompletedPartTypeDef] = {}

        async def upload_part(number: int) -> None:
            body = data[(number - 1) * size : number * size]
            checksum = crc32(body)
            part = await self._s3.upload_part(
                **self._at, UploadId=upload, PartNumber=number, Body=body, ChecksumCRC32=checksum
            )
            done[number] = {"PartNumber": number, "ETag": self._told(part, "ETag"), "ChecksumCRC32": checksum}

        numbers = range(1, -(-len(data) // size) + 1)
        await each(upload_part, numbers, at_once=self._at_once)
        return [done[number] for number in numbers]
