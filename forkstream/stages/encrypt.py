"""The encrypt stage: objects in the AWS Encryption SDK's message format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import Meta

from forkstream.aws.data_keys import FORK_ENTRY, KEY_ENTRY, DataKey, DataKeys
from forkstream.aws.encrypted_message import SUFFIX, encrypt
from forkstream.aws.key_file import KeyFile
from forkstream.aws.key_permission import key_permission
from forkstream.aws.kms_keys import KmsKeys, is_alias
from forkstream.ports import Context, Load, ObjectInfo, ObjectStage, Payload, Permission
from forkstream.settings import AwsSettings, Settings
from forkstream.stages.data_key_cache import DataKeyCache, DataKeyCacheSettings


class EncryptConfig(Settings):
    """Which key objects are encrypted under: exactly one of ``kms_key`` and ``key_file``."""

    kms_key: (
        Annotated[
            str,
            Meta(
                description="id, ARN, alias or alias ARN of a symmetric KMS key; an alias is resolved once, at start",
                min_length=1,
            ),
        ]
        | None
    ) = None
    key_file: Annotated[
        Path | None,
        Meta(description="file that holds an AES-256 key: 32 random bytes, as they are or in base64"),
    ] = None
    data_key_cache: Annotated[
        DataKeyCacheSettings | None,
        Meta(
            description="encrypt several objects under one data key, to save calls of KMS; the encryption context then "
            "names the fork alone. Left out, every object has a data key of its own"
        ),
    ] = None
    aws: Annotated[AwsSettings, Meta(description="where and as whom KMS is reached, if not as the fork")] = (
        AwsSettings()
    )


class Encrypt(ObjectStage[EncryptConfig]):
    """Encrypt each object on this side, so that reading it takes the key and not only the bucket.

    The stock AWS Encryption SDKs and the AWS Encryption CLI read what it writes, with a KMS key provider or, for
    ``key_file``, as :class:`~forkstream.aws.key_file.KeyFile` says. Each object has a data key of its own, bound to
    the fork's name and the object's key by the encryption context. KMS is called in ``prepare`` alone, never in the
    worker thread. Writing takes ``kms:GenerateDataKey`` on the key, and ``kms:DescribeKey`` if it is given by alias.
    """

    encrypts: ClassVar[bool] = True

    def __init__(self, config: EncryptConfig, context: Context) -> None:
        super().__init__(config, context)
        if config.data_key_cache is not None and config.key_file is not None:
            raise ValueError("data_key_cache saves calls of KMS, and key_file makes none: leave it out")
        self._keys = _keys(config, context)
        self._cache: DataKeyCache | None = None
        if config.data_key_cache is not None:
            generate = partial(self._keys.generate, self._encryption_context(""))
            self._cache = DataKeyCache(config.data_key_cache, generate)
        self._stack = AsyncExitStack()

    def billed(self, load: Load) -> Mapping[str, float]:
        """A call of KMS an object, or as many as the cache of data keys leaves."""
        if self.config.kms_key is None:
            return {}
        cache = self.config.data_key_cache
        if cache is None:
            return {"kms_request": load.batches}
        data = load.events * load.event_bytes / cache.bytes
        return {"kms_request": min(load.batches, max(load.batches / cache.messages, data, load.workers / cache.age))}

    def permissions(self) -> Iterable[Permission]:
        key = self.config.kms_key
        if key is not None:
            resolving = ("kms:DescribeKey",) if is_alias(key) else ()
            aws = self.config.aws.over(self.context.aws)
            yield key_permission(("kms:GenerateDataKey", *resolving), key, aws)

    @property
    def suffix(self) -> str:
        """What the AWS Encryption CLI appends too."""
        return SUFFIX

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._keys)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cache is not None:
            self._cache.forget()
        await self._stack.aclose()

    async def check(self) -> None:
        """Ask whether a data key could be had now, by a dry run that makes none."""
        await self._keys.check(self._encryption_context("check"))

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        """Get the object's data key, then return what encrypts one payload with it."""
        context = self._encryption_context(about.key)
        if self._cache is None:
            return partial(_encrypted, await self._keys.generate(context), context)
        cached = await self._cache.take()

        def encrypt_and_count(payload: Payload) -> Payload:
            cached.count(len(payload.data))
            return _encrypted(cached.key, context, payload)

        return encrypt_and_count

    def _encryption_context(self, key: str) -> dict[str, str]:
        of_fork = {FORK_ENTRY: self.context.fork}
        # a data key that serves several objects cannot be bound to one
        return of_fork if self.config.data_key_cache else {**of_fork, KEY_ENTRY: key}


def _encrypted(data_key: DataKey, context: Mapping[str, str], payload: Payload) -> Payload:
    data = encrypt(payload.data, data_key, context)
    return msgspec.structs.replace(payload, data=data, content_type="application/octet-stream")


def _keys(config: EncryptConfig, context: Context) -> DataKeys:
    match config.kms_key, config.key_file:
        case str(key), None:
            return KmsKeys(key, config.aws.over(context.aws))
        case None, Path() as path:
            return KeyFile(path)
        case found:
            raise ValueError(f"expected exactly one of kms_key and key_file, found {2 - found.count(None)}")
