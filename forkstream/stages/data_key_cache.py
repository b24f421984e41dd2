"""One data key for several objects, within limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
from msgspec import Meta

from forkstream.aws.data_keys import DataKey
from forkstream.settings import Duration, Settings, Size

MESSAGES_LIMIT = 2**32
"""How many messages the AWS Encryption SDK lets one data key encrypt, see its CachingCryptoMaterialsManager."""


class DataKeyCacheSettings(Settings):
    """How far one data key may go. The first limit that is reached ends it."""

    messages: Annotated[int, Meta(description="objects that one data key encrypts", ge=1, le=MESSAGES_LIMIT)] = 1000
    bytes: Annotated[
        Size,
        Meta(description="bytes that one data key encrypts; objects under way when it is reached go beyond it", gt=0),
    ] = Size(2**30)
    age: Annotated[Duration, Meta(description="how long one data key is handed out", gt=0)] = Duration(300.0)


class CachedKey:
    """A data key and what it has been used for."""

    def __init__(self, key: DataKey, born: float) -> None:
        self.key = key
        self.born = born
        self.messages = 0
        self.bytes = 0
        self._lock = threading.Lock()

    def count(self, size: int) -> None:
        """Count an object's bytes; called in worker threads."""
        with self._lock:
            self.bytes += size

    def is_spent(self, limits: DataKeyCacheSettings, now: float) -> bool:
        """Tell whether one more object would pass a limit."""
        return self.messages >= limits.messages or self.bytes >= limits.bytes or now - self.born >= limits.age


class DataKeyCache:
    """Hands out the current data key, and asks for the next one when its limits are reached.

    However many objects wait for a key, one call fetches it. ``generate`` must always use the same context.
    """

    def __init__(
        self,
        limits: DataKeyCacheSettings,
        generate: Callable[[], Awaitable[DataKey]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._generate = generate
        self._clock = clock
        self._current: CachedKey | None = None
        self._lock = anyio.Lock()

    async def take(self) -> CachedKey:
        """Get a key for one more object; raises what ``generate`` raises."""
        async with self._lock:
            if self._current is None or self._current.is_spent(self._limits, self._clock()):
                self._current = None
                # its age counts from before the call, so that a slow answer makes it older, not younger
                born = self._clock()
                self._current = CachedKey(await self._generate(), born)
            self._current.messages += 1
            return self._current

    def forget(self) -> None:
        """Drop the current key."""
        self._current = None
