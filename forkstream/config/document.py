"""Where a config's text comes from: a file, standard input, the environment, S3 or the parameter store."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import msgspec

from forkstream.config.remedy import remedy
from forkstream.errors import ConfigError, DeliveryError
from forkstream.settings import AwsSettings

DEFAULT = "forkstream.yaml"
_MOST_BYTES = 4 * 2**20
"""A device or a wrong file would otherwise be read until the memory ends, or for minutes."""


class Document(msgspec.Struct, frozen=True):
    """A config's text, and the name by which problems refer to it."""

    name: str
    text: str


def read_document(location: str | None, environ: Mapping[str, str]) -> Document:
    """Read the config at ``location``: a path, ``-``, ``env:NAME``, ``s3://bucket/key`` or ``ssm:/name``.

    None means ``$FORKSTREAM_CONFIG``, else ``./forkstream.yaml``. Raises :class:`ConfigError`. Blocks, and runs an
    event loop of its own for S3 and the parameter store: call it before the service's own loop starts.
    """
    location = location or environ.get("FORKSTREAM_CONFIG") or None
    if location is None and not Path(DEFAULT).exists():
        raise ConfigError([f"no config: name one, set FORKSTREAM_CONFIG or make ./{DEFAULT}"])
    location = location or DEFAULT
    if location == "-":
        return Document("<stdin>", _decoded(location, sys.stdin.buffer.read(_MOST_BYTES + 1)))
    if location.startswith("env:"):
        name = location.removeprefix("env:")
        if not name:
            raise ConfigError([f"{location}: expected env:NAME"])
        if name not in environ:
            raise ConfigError([f"{location}: environment variable {name} is not set"])
        return Document(location, environ[name])
    if location.startswith(("s3://", "ssm:")):
        return Document(location, _decoded(location, _fetched(location)))
    try:
        with Path(location).open("rb") as file:
            return Document(location, _decoded(location, file.read(_MOST_BYTES + 1)))
    except (OSError, ValueError) as error:
        raise ConfigError([f"{location}: cannot be read: {_why_not(location, error)}"]) from None


def _why_not(location: str, error: OSError | ValueError) -> str:
    if "://" in location:
        return "a config is a path, -, env:NAME, s3://bucket/key or ssm:/name"
    return getattr(error, "strerror", None) or "no path"


def _decoded(location: str, content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        raise ConfigError([f"{location}: larger than {_MOST_BYTES // 2**20} MiB: a config is text for people to read"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{location}: not UTF-8 at byte {error.start}; a config is YAML"]) from None


def _fetched(location: str) -> bytes:
    try:
        return anyio.run(_from_s3 if location.startswith("s3://") else _from_ssm, location)
    except DeliveryError as error:
        detail = f" ({error.detail})" if error.detail else ""
        do = f": {remedy(error.code)}" if remedy(error.code) else ""
        raise ConfigError([f"{location}: cannot be read: {error.code}{detail}{do}"]) from None


async def _from_s3(location: str) -> bytes:
    from forkstream.aws.errors import translating  # noqa: PLC0415  # AWS's SDK takes longer to import than all the rest
    from forkstream.aws.session import AwsSession  # noqa: PLC0415

    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise ConfigError([f"{location}: expected s3://bucket/key"])
    async with AwsSession(AwsSettings()).client("s3") as s3:
        with translating("s3:GetObject", location):
            answer = await s3.get_object(Bucket=bucket, Key=key)
            return await answer["Body"].read()


async def _from_ssm(location: str) -> bytes:
    from forkstream.aws.errors import translating  # noqa: PLC0415  # see _from_s3
    from forkstream.aws.session import AwsSession  # noqa: PLC0415

    name = location.removeprefix("ssm:")
    if not name.startswith("/"):
        raise ConfigError([f"{location}: expected ssm:/name"])
    async with AwsSession(AwsSettings()).client("ssm") as ssm:
        with translating("ssm:GetParameter", location):
            answer = await ssm.get_parameter(Name=name, WithDecryption=True)
            return answer["Parameter"]["Value"].encode()
