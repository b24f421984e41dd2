"""A search for planted card numbers in all that a service leaves behind."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import zstandard
from forkstream_checkout.generator import CARD_NUMBERS

from forkstream.demo.embedded_aws import EmbeddedAws
from tests.faults.service_process import LOG

PLANTED = [number for numbers in CARD_NUMBERS.values() for number in numbers]
"""Every order of the tests holds one of these in its payment."""


def _patterns() -> Iterator[bytes]:
    for written in PLANTED:
        digits = written.replace(" ", "")
        yield rb"(?:[ _.-]|\\u0020|%20|\+)?".join(digit.encode() for digit in digits)
        yield digits.encode().hex().encode()
        for text in (written.encode(), digits.encode()):
            for offset in range(3):
                # without the characters that depend on what stands before and behind
                yield re.escape(base64.b64encode(b"\0" * offset + text)[(0, 2, 3)[offset] : -4])


_CARD = re.compile(b"|".join(_patterns()))


def holds_card(content: bytes) -> bool:
    """Tell whether a planted number stands in it: with or without separators, in base64 or in hex, compressed or not."""
    if content.startswith(zstandard.FRAME_HEADER):
        content += zstandard.ZstdDecompressor().decompressobj().decompress(content)
    elif content.startswith(b"\x1f\x8b"):
        content += gzip.decompress(content)
    return _CARD.search(content) is not None


def leaks_in_files(directory: Path) -> list[str]:
    """Name the files of all directories below this one in which a service ran, that hold a planted number."""
    files = {path for log in directory.rglob(f"*{LOG}") for path in log.parent.rglob("*") if path.is_file()}
    files |= {*directory.rglob("*.log")}
    return [str(path) for path in sorted(files) if holds_card(path.read_bytes())]


def leaks_in_aws(aws: EmbeddedAws, prefix: str = "") -> list[str]:
    """Name the objects and tables of an embedded AWS that hold one in their content, key or metadata.

    Queues are left out: what has not been through a fork has to hold its card.
    """
    account: dict[str, Any] = {
        "endpoint_url": aws.endpoint_url,
        "region_name": aws.region,
        "aws_access_key_id": aws.access_key,
        "aws_secret_access_key": aws.secret_key,
    }
    return [
        *_leaks_in_s3(boto3.client("s3", **account), prefix),
        *_leaks_in_tables(boto3.client("dynamodb", **account), prefix),
    ]


def _leaks_in_s3(s3: Any, prefix: str) -> Iterator[str]:
    for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].startswith(prefix)):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for key in (entry["Key"] for entry in page.get("Contents", [])):
                found = s3.get_object(Bucket=bucket, Key=key)
                about = json.dumps([key, found["Metadata"], found["ResponseMetadata"]["HTTPHeaders"]])
                if holds_card(found["Body"].read()) or holds_card(about.encode()):
                    yield f"s3://{bucket}/{key}"


def _leaks_in_tables(dynamodb: Any, prefix: str) -> Iterator[str]:
    for page in dynamodb.get_paginator("list_tables").paginate():
        for table in (name for name in page["TableNames"] if name.startswith(prefix)):
            for rows in dynamodb.get_paginator("scan").paginate(TableName=table):
                if holds_card(json.dumps(rows["Items"], default=repr).encode()):
                    yield f"table {table}"
