"""Data keys under a key in a file, for use without AWS KMS."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm  # type: ignore[import-untyped]
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey  # type: ignore[import-untyped]
from aws_encryption_sdk.key_providers.raw import RawMasterKey, RawMasterKeyConfig  # type: ignore[import-untyped]
from aws_encryption_sdk.structures import EncryptedDataKey, MasterKeyInfo  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidTag

from forkstream.aws.data_keys import DataKey, DataKeys, WrappedKey
from forkstream.aws.encrypted_message import SUITE
from forkstream.errors import PermanentError, UnavailableError

NAMESPACE = "forkstream"
"""What a message's header gives as provider id, or key namespace, of a key in a file."""

_KEY_BYTES = 32


class KeyFile(DataKeys):
    """Data keys under an AES-256 key in a file: 32 random bytes, as they are or in base64.

    Make one with ``openssl rand -base64 32``. The SDKs read what it protects with a raw AES key (AES-256-GCM, no
    padding) of namespace ``forkstream`` and of the name that ``name_of`` gives: the first 16 hexadecimal digits of
    the key's SHA-256 (``base64 -d KEY_FILE | sha256sum``), so that a message says which of several keys opens it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._master: Any = None

    async def __aenter__(self) -> Self:
        key = await self._read()
        self._master = RawMasterKey(
            config=RawMasterKeyConfig(
                key_id=name_of(key),
                provider_id=NAMESPACE,
                wrapping_key=WrappingKey(
                    wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
                    wrapping_key=key,
                    wrapping_key_type=EncryptionKeyType.SYMMETRIC,
                ),
            )
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._master = None

    async def generate(self, context: Mapping[str, str]) -> DataKey:
        """Draw a data key from the system's randomness and wrap it; no I/O."""
        key = self._master.generate_data_key(SUITE, dict(context))
        return DataKey(key.data_key, WrappedKey(NAMESPACE, key.key_provider.key_info, key.encrypted_data_key))

    async def unwrap(self, wrapped: Sequence[WrappedKey], context: Mapping[str, str]) -> bytes | None:
        """Open the data key that bears this key's name; no I/O."""
        for one in wrapped:
            theirs = EncryptedDataKey(MasterKeyInfo(one.provider, one.name), one.ciphertext)
            if self._master.owns_data_key(theirs):
                try:
                    plaintext: bytes = self._master.decrypt_data_key(theirs, SUITE, dict(context)).data_key
                except InvalidTag:
                    raise PermanentError("undecryptable", "its data key or its context was tampered with") from None
                return plaintext
        return None

    async def check(self, context: Mapping[str, str]) -> None:  # noqa: ARG002  # no key's policy looks at it
        """Ask whether the file is still there and holds a key."""
        await self._read()

    async def _read(self) -> bytes:
        try:
            content = await anyio.Path(self._path).read_bytes()
        except OSError as error:
            raise UnavailableError("key_file", f"{self._path}: {error.strerror}") from None
        key = _decoded(content)
        if key is None:
            raise UnavailableError(
                "key_file",
                f"{self._path}: expected {_KEY_BYTES} random bytes, as they are or in base64, "
                f"found {len(content)} bytes of something else",
            )
        return key


def name_of(key: bytes) -> str:
    """Give the name that messages have for this key."""
    return hashlib.sha256(key).hexdigest()[:16]


def _decoded(content: bytes) -> bytes | None:
    """Take the key out of a file's content; None if there is none."""
    # 32 random bytes are never all printable (1 in 10^13): that is a passphrase, or the hexadecimal of a shorter key
    if len(content) == _KEY_BYTES and not (content.isascii() and content.decode().isprintable()):
        return content
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        return None
    return key if len(key) == _KEY_BYTES else None
