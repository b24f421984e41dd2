"""Data keys from AWS KMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError

from forkstream.aws.data_keys import DataKey, DataKeys, WrappedKey
from forkstream.aws.errors import translating
from forkstream.aws.sdk_answer import reading
from forkstream.aws.session import AwsSession
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_kms import KMSClient

PROVIDER = "aws-kms"
"""What the AWS Encryption SDK calls KMS in a message's header."""

_READ_TIMEOUT = 10.0


class KmsKeys(DataKeys):
    """Data keys under one KMS key, given as key id, key ARN, alias or alias ARN.

    An alias is resolved once, when opened, so that a run's objects stay under one key: that takes ``kms:DescribeKey``.
    Writing takes ``kms:GenerateDataKey``, reading ``kms:Decrypt``. The key's region is that of its ARN, if it is one.
    """

    def __init__(self, key: str, settings: AwsSettings) -> None:
        self._given = key
        self._key = key
        region = key.split(":")[3] if key.startswith("arn:") and key.count(":") >= 5 else None
        self._settings = AwsSettings(region=region or None).over(settings)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            opening = AwsSession(self._settings).client("kms", read_timeout=_READ_TIMEOUT)
            self._kms: KMSClient = await stack.enter_async_context(opening)
            self._key = await self._resolved()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def generate(self, context: Mapping[str, str]) -> DataKey:
        """Ask KMS for a data key: one GenerateDataKey call."""
        with translating("kms:GenerateDataKey", self._given):
            answer = await self._kms.generate_data_key(
                KeyId=self._key, KeySpec="AES_256", EncryptionContext=dict(context)
            )
        # the answer names the key by its ARN, as readers expect it, however it was asked for
        with reading("KMS", f"kms:GenerateDataKey on {self._given}"):
            return DataKey(
                answer["Plaintext"], WrappedKey(PROVIDER, answer["KeyId"].encode(), answer["CiphertextBlob"])
            )

    async def unwrap(self, wrapped: Sequence[WrappedKey], context: Mapping[str, str]) -> bytes | None:
        """Ask KMS to open the data key: one Decrypt call.

        The call names our key, not the header's, so KMS refuses what a stranger wrapped with a key of his own.
        """
        for one in wrapped:
            if one.provider == PROVIDER and _key_id(one.name.decode(errors="replace")) == _key_id(self._key):
                with translating("kms:Decrypt", self._given):
                    answer = await self._kms.decrypt(
                        KeyId=self._key, CiphertextBlob=one.ciphertext, EncryptionContext=dict(context)
                    )
                with reading("KMS", f"kms:Decrypt on {self._given}"):
                    return answer["Plaintext"]
        return None

    async def check(self, context: Mapping[str, str]) -> None:
        """Ask KMS whether GenerateDataKey would work, without making a key."""
        with translating("kms:GenerateDataKey", self._given):
            try:
                await self._kms.generate_data_key(
                    KeyId=self._key, KeySpec="AES_256", EncryptionContext=dict(context), DryRun=True
                )
            except ClientError as error:
                # how KMS says that a dry run would have succeeded, see GenerateDataKey
                if error.response.get("Error", {}).get("Code") != "DryRunOperationException":
                    raise

    async def _resolved(self) -> str:
        if not is_alias(self._given):
            return self._given
        with translating("kms:DescribeKey", self._given):
            answer = await self._kms.describe_key(KeyId=self._given)
        with reading("KMS", f"kms:DescribeKey on {self._given}"):
            return answer["KeyMetadata"]["Arn"]


def is_alias(key: str) -> bool:
    """Whether a key is given by one of its aliases."""
    return key.startswith("alias/") or ":alias/" in key


def _key_id(key: str) -> str:
    """Take the id of an ARN, which replicas of a multi-region key share."""
    return key.rpartition("/")[2]
