"""A shelf: where an object sink puts its objects, seen by one who reads them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from forkstream.errors import PermanentError
from forkstream.ports import ObjectSink, Payload


class Listed(msgspec.Struct, frozen=True):
    """One object as a listing shows it; ``stored_at`` is in seconds since the epoch."""

    key: str
    stored_at: float


class Shelf(ABC):
    """The objects of one sink. Methods raise the three kinds of DeliveryError."""

    def __init__(self, sink: ObjectSink[Any], start: str) -> None:
        self._sink = sink
        self.start = start
        """What the keys of all its objects begin with."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Where it is, for people: ``s3://dead-letters/search/``."""

    @abstractmethod
    def listed(self) -> AsyncIterator[Listed]:
        """List everything below ``start``, in no order."""

    @abstractmethod
    async def get(self, key: str) -> bytes:
        """Read an object whole."""

    async def create(self, key: str, data: bytes) -> bool:
        """Put an object that is not there yet; False if another one is. Of several at once, one succeeds.

        ``data`` has to be the caller's own, like no other's. Calling it again after an error is safe.
        """
        try:
            await self._sink.put(key, Payload(data, "application/json"), attempt=1)
        except PermanentError as error:
            if error.code != "key_taken":
                raise
            return False
        # a sink may take what it finds in its place for its own, when an answer was lost on the way
        return await self.get(key) == data

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Open it, the sink included."""
        async with self._sink:
            yield self


def fixed_start(prefix: str) -> str:
    """Take the part of a sink's prefix that is the same for all events: what stands before its first code or field."""
    match = re.match(r"[^%{]*", prefix)
    return match[0] if match else ""
