"""The checksum that S3 verifies and keeps."""

from __future__ import annotations

import base64

from isal import isal_zlib


def crc32(data: bytes) -> str:
    """Compute CRC-32 as S3 wants it: big-endian, in base 64.

    Of S3's checksums it is the one that parts can be combined to a whole object's and that needs no native SDK. 5 MiB
    take 0.2 ms, no more than a change of threads would.
    """
    return base64.b64encode(isal_zlib.crc32(data).to_bytes(4, "big")).decode()
