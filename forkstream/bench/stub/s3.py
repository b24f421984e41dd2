"""S3 as the stub speaks it: objects are taken, checked and forgotten."""

from __future__ import annotations

import base64
import zlib
from hashlib import md5

from forkstream.bench.stub.connection import Reply, Request, answer, query_of
from forkstream.bench.stub.tally import Tally
from forkstream.bench.stub.weather import Fault

_HEADERS = (
    "x-amz-id-2: forkstream-bench\r\nx-amz-request-id: FORKSTREAMBENCH0\r\n"
    "Server: AmazonS3\r\nConnection: keep-alive\r\n"
)
_XML = f"{_HEADERS}Content-Type: application/xml\r\n"
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class S3:
    """Answers requests for ``/BUCKET`` and ``/BUCKET/KEY``."""

    def __init__(self, tally: Tally, *, remembers: bool) -> None:
        """Forget objects at once, or remember their sizes and checksums: a put whose answer is lost comes again."""
        self._tally = tally
        self._remembers = remembers
        self._objects: dict[str, tuple[int, str]] = {}

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        path, query = query_of(request.target)
        bucket, _, key = path.lstrip("/").partition("/")
        match request.method:
            case b"PUT" if key:
                reply(self._put(path, request, whole="partNumber" not in query))
            case b"POST" if "uploads" in query:
                reply(_xml(f"<InitiateMultipartUploadResult {_NAMESPACE}>", bucket, key, "<UploadId>bench</UploadId>"))
            case b"POST" if "uploadId" in query:
                self._tally.puts += 1
                reply(_xml(f"<CompleteMultipartUploadResult {_NAMESPACE}>", bucket, key, '<ETag>"bench-1"</ETag>'))
            case b"DELETE" | b"PUT":
                reply(answer(204 if request.method == b"DELETE" else 200, b"", _HEADERS))
            case b"HEAD" if not key:
                reply(answer(200, b"", _HEADERS))
            case b"HEAD":
                reply(self._head(path))
            case b"GET" if not key:
                reply(_xml(f"<ListBucketResult {_NAMESPACE}>", bucket, "", "<IsTruncated>false</IsTruncated>"))
            case b"GET":
                reply(_error(404, "NoSuchKey", "The specified key does not exist."))
            case _:
                self._tally.refused += 1
                reply(_error(501, "NotImplemented", "the stub does not know it"))

    def strike(self, fault: Fault) -> bytes:
        """What a request is answered that goes wrong."""
        if fault is Fault.THROTTLE:
            return _error(503, "SlowDown", "Please reduce your request rate.")
        return _error(500, "InternalError", "We encountered an internal error. Please try again.")

    def _head(self, path: str) -> bytes:
        if path not in self._objects:
            return answer(404, b"", _XML, length=0)
        size, checksum = self._objects[path]
        return answer(200, b"", f"{_HEADERS}x-amz-checksum-crc32: {checksum}\r\n", length=size)

    def _put(self, path: str, request: Request, *, whole: bool) -> bytes:
        checksum = base64.b64encode(zlib.crc32(request.body).to_bytes(4)).decode()
        stated = request.header(b"x-amz-checksum-crc32")
        if stated and stated != checksum.lower():
            return _error(400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")
        if whole and path in self._objects and request.header(b"if-none-match") == "*":
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        if whole and self._remembers:
            self._objects[path] = (len(request.body), checksum)
        self._tally.puts += whole
        self._tally.put_bytes += len(request.body)
        tag = md5(request.body, usedforsecurity=False).hexdigest()
        kind = "x-amz-checksum-type: FULL_OBJECT\r\n" if whole else ""
        headers = f'ETag: "{tag}"\r\nx-amz-checksum-crc32: {checksum}\r\n{kind}x-amz-server-side-encryption: AES256\r\n'
        return answer(200, b"", _HEADERS + headers)


def _xml(opening: str, bucket: str, key: str, rest: str) -> bytes:
    name = opening[1:].partition(" ")[0]
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{opening}<Bucket>{bucket}</Bucket><Key>{key}</Key>{rest}</{name}>'
    return answer(200, body.encode(), _XML)


def _error(status: int, code: str, message: str) -> bytes:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
        "<RequestId>FORKSTREAMBENCH0</RequestId><HostId>forkstream-bench</HostId></Error>"
    )
    return answer(status, body.encode(), _XML)
