"""An object sink in memory: what a test writes object stages against."""

from __future__ import annotations

import anyio.lowlevel

from forkstream.errors import PermanentError
from forkstream.ports import Context, ObjectSink, Payload
from forkstream.settings import Settings


class MemoryObjectSink(ObjectSink[Settings]):
    """Keeps payloads by key in ``objects``. Assign ``error`` to have the next puts raise it, until it is None again."""

    def __init__(self, config: Settings | None = None, context: Context | None = None) -> None:
        super().__init__(config or Settings(), context or Context(fork="test"))
        self.objects: dict[str, Payload] = {}
        self.error: Exception | None = None

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:  # noqa: ARG002  # every attempt compares
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if self.objects.setdefault(key, payload) != payload:
            raise PermanentError("key_taken", f"another object is already at {key}")
