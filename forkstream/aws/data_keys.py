"""Data keys: what an object is encrypted with, and the door to where they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

FORK_ENTRY = "forkstream:fork"
"""The encryption context's entry for the fork's name; in a key policy ``kms:EncryptionContext:forkstream:fork``."""
KEY_ENTRY = "forkstream:key"
"""The encryption context's entry for the object's key; CloudTrail shows both with every use of a KMS key."""


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key as a message's header carries it: ``provider`` and ``name`` say which key opens ``ciphertext``."""

    provider: str
    name: bytes
    ciphertext: bytes


class DataKey(msgspec.Struct, frozen=True):
    """A fresh data key of 32 bytes, in the clear and wrapped. Hold it no longer than the object needs it."""

    plaintext: bytes
    wrapped: WrappedKey

    def __repr__(self) -> str:
        """Leave the key out: a repr may reach a log line."""
        return f"<DataKey of {self.wrapped.provider}>"


class DataKeys(AbstractAsyncContextManager["DataKeys"], ABC):
    """A source of data keys. Entering it opens it; it can be entered again after an error.

    Every method raises :class:`~forkstream.errors.UnavailableError` that names the permission or file at fault, or
    :class:`~forkstream.errors.TransientError`. The ``context`` is authenticated with the wrapped key and is no secret.
    """

    @abstractmethod
    async def generate(self, context: Mapping[str, str]) -> DataKey:
        """Make a new data key, wrapped under the context."""

    @abstractmethod
    async def unwrap(self, wrapped: Sequence[WrappedKey], context: Mapping[str, str]) -> bytes | None:
        """Open the one of the wrapped keys that is this source's; None if none is.

        Raises :class:`~forkstream.errors.PermanentError` for a key that was tampered with or is of another context.
        """

    @abstractmethod
    async def check(self, context: Mapping[str, str]) -> None:
        """Ask whether ``generate`` would work now, and leave nothing behind."""
