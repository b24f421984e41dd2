"""What ``${file:…}``, ``${ssm:…}`` and ``${secretsmanager:…}`` stand for, fetched before a config is read."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from forkstream.config.problem import did_you_mean
from forkstream.config.remedy import remedy
from forkstream.config.variables import UnresolvedError
from forkstream.errors import DeliveryError
from forkstream.settings import AwsSettings

MAX_BYTES = 64 * 2**10
"""Bytes of a secret in a file; AWS keeps no larger ones, see "AWS Secrets Manager quotas"."""
_AT_ONCE = 8


def fetch_secrets(references: Collection[str], settings: AwsSettings) -> dict[str, str | UnresolvedError]:
    """Fetch what references such as ``ssm:/orders/token`` stand for, each once; AWS is asked as ``settings`` say.

    What cannot be had is there as the error that says why. Blocks, and runs an event loop of its own if AWS has to be
    asked. Needs ``ssm:GetParameter`` and ``secretsmanager:GetSecretValue``, and ``kms:Decrypt`` on keys of one's own.
    """
    fetched = {each: _from_file(each.removeprefix("file:")) for each in references if each.startswith("file:")}
    elsewhere = [each for each in dict.fromkeys(references) if each not in fetched]
    return fetched | (anyio.run(_from_aws, elsewhere, settings) if elsewhere else {})


def _from_file(name: str) -> str | UnresolvedError:
    """Read a file; one line break at its end is the editor's, not the secret's."""
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return UnresolvedError("there is no such file: make it, or mount the secret there")
    except PermissionError:
        return UnresolvedError(f"the file may not be read: let the user that forkstream runs as read it (uid {_uid()})")
    except (OSError, ValueError) as error:
        return UnresolvedError(f"cannot be read: {getattr(error, 'strerror', None) or 'no path'}; name a file")
    if len(content) > MAX_BYTES:
        return UnresolvedError(f"the file is larger than {MAX_BYTES // 2**10} KiB: name one that holds a secret alone")
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return UnresolvedError("the file is not UTF-8: store the secret as text, in base64 if it is bytes")


def _uid() -> int | str:
    return os.getuid() if hasattr(os, "getuid") else "unknown"


async def _from_aws(references: list[str], settings: AwsSettings) -> dict[str, str | UnresolvedError]:
    from forkstream.aws.session import AwsSession  # noqa: PLC0415  # AWS's SDK takes longer to import than all the rest

    session = AwsSession(settings)
    found: dict[str, str | UnresolvedError] = {}
    for prefix, client, read in (
        ("ssm:", session.client("ssm"), _read_parameter),
        ("secretsmanager:", session.client("secretsmanager"), _read_secret),
    ):
        wanted = [each for each in references if each.startswith(prefix)]
        try:
            async with client if wanted else nullcontext() as service:
                found |= await _each(wanted, partial(read, service))
        except DeliveryError as error:  # it could not be opened
            found |= dict.fromkeys(wanted, _unanswered(error))
    return found


async def _each(references: list[str], read: Callable[[str], Awaitable[str]]) -> dict[str, str | UnresolvedError]:
    found: dict[str, str | UnresolvedError] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def fetch(reference: str) -> None:
        async with limiter:
            try:
                found[reference] = await read(reference.partition(":")[2])
            except UnresolvedError as error:
                found[reference] = error
            except DeliveryError as error:
                found[reference] = _unanswered(error)

    async with anyio.create_task_group() as tasks:
        for each in references:
            tasks.start_soon(fetch, each)
    return found


def _unanswered(error: DeliveryError) -> UnresolvedError:
    detail = f" ({error.detail})" if error.detail else ""
    return UnresolvedError(f"{error.code}{detail}: {remedy(error.code) or 'try again, or mend what it names'}")


async def _read_parameter(ssm: Any, name: str) -> str:
    from forkstream.aws.errors import translating  # noqa: PLC0415  # see _from_aws

    with translating("ssm:GetParameter", name):
        answer = await ssm.get_parameter(Name=name, WithDecryption=True)
    value: str = answer["Parameter"]["Value"]
    return value


async def _read_secret(secrets: Any, reference: str) -> str:
    """Read a secret, or the value of one key of a secret that is a JSON object: ``name#key``."""
    from forkstream.aws.errors import translating  # noqa: PLC0415  # see _from_aws

    name, _, key = reference.partition("#")
    with translating("secretsmanager:GetSecretValue", name):
        answer = await secrets.get_secret_value(SecretId=name)
    text = answer.get("SecretString")
    if text is None:
        raise UnresolvedError("the secret is bytes: store it as text, in base64 if it has to be bytes")
    return _value_of(text, key) if key else text


def _value_of(text: str, key: str) -> str:
    try:
        held = msgspec.json.decode(text)
    except msgspec.DecodeError:
        held = None
    if not isinstance(held, dict):
        raise UnresolvedError(f"the secret is no JSON object, so it has no key {key}: leave #{key} out, or store one")
    if key not in held:
        near = did_you_mean(key, held) or "; correct the key, or add it"
        raise UnresolvedError(f"the secret has no key {key} among its {len(held)}{near}")
    match held[key]:
        case str(value):
            return value
        case bool() | int() | float() as value:
            return msgspec.json.encode(value).decode()
        case value:
            kind = "nothing" if value is None else "a list" if isinstance(value, list) else "an object"
            raise UnresolvedError(f"the secret's {key} is {kind}: name a key that holds text")
