"""Objects under a key in a file, decrypted as the stock AWS Encryption SDK does it."""

from __future__ import annotations

import hashlib

# the SDK ships no types
import aws_encryption_sdk  # type: ignore[import-untyped]
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm  # type: ignore[import-untyped]
from aws_encryption_sdk.internal.crypto import WrappingKey  # type: ignore[import-untyped]
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider  # type: ignore[import-untyped]


class _RawKeys(RawMasterKeyProvider):  # type: ignore[misc]  # as above
    """What the SDK's documentation asks of a user who has a raw AES key."""

    provider_id = "forkstream"
    key: bytes

    def _get_raw_key(self, _key_id: bytes) -> WrappingKey:
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=self.key,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def decrypted(stored: bytes, key: bytes) -> bytes:
    """The content of an object that was encrypted under this key."""
    provider = _RawKeys()
    provider.key = key
    provider.add_master_key(hashlib.sha256(key).hexdigest()[:16])
    content: bytes = aws_encryption_sdk.EncryptionSDKClient().decrypt(source=stored, key_provider=provider)[0]
    return content
