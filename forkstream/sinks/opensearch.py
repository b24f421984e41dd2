"""The ``opensearch`` sink: events as documents of search indexes, in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Annotated, Self

from msgspec import Meta
from msgspec.json import encode

from forkstream.errors import DeliveryError, UnavailableError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink, Permission
from forkstream.settings import Size
from forkstream.sinks.opensearch_answer import WANTED, Result, read_results, refusal
from forkstream.sinks.opensearch_client import OpenSearchClient, OpenSearchConnection
from forkstream.sinks.opensearch_write import OpenSearchWrite

_PROBE = "forkstream-check"
"""The id of a document that never exists; also an index's name, where no other is known."""


class OpenSearchConfig(OpenSearchConnection):
    """A cluster, and how documents are sent to it."""

    index: Annotated[
        str | None,
        Meta(description="index for events that no `index` stage gave a target; their id is that of the first sending"),
    ] = None
    max_request: Annotated[
        Size, Meta(description="bytes of a bulk request, uncompressed; AWS takes 10 MiB on its small instances", ge=1)
    ] = Size(10 * 10**6)


class OpenSearchSink(EventSink[OpenSearchConfig]):
    """Indexes each event as the document that its target names; with a version, equal or newer wins.

    A document older than the one in the index counts as done, since the newer one is there. Without a version the
    last to arrive wins. OpenSearch makes a missing index, by its templates; an index or a cluster that takes nothing
    (closed, blocked, full, not allowed to be made) is the destination's fault and never an event's.
    """

    ordered = True
    batch_defaults = BatchDefaults(max_events=1000, max_bytes=5 * 2**20, max_age=1.0, most_events=10_000)

    def __init__(self, config: OpenSearchConfig, context: Context) -> None:
        super().__init__(config, context)
        self._client = OpenSearchClient(config, context.aws)
        # a shard that cannot be written is reported for its documents alone, well before the whole request times out
        self._shard_timeout = f"{config.request_timeout / 2 * 1000:.0f}ms"
        self._max_request = int(config.max_request)
        self._blocked_index: str | None = None

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(exc_type, exc, traceback)

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        write = OpenSearchWrite(events, self.config.index)
        while request := write.take(self._max_request):
            body = b"".join([document.lines for document in request])
            try:
                results = await self._bulk(body, len(request))
            except DeliveryError as error:
                if error.code == "too_large" and len(request) > 1:
                    self._max_request = len(body) // 2  # for good: the server's limit will not grow by itself
                    write.put_back(request)
                else:
                    write.refuse(request, error)
            else:
                write.settle(request, results)
        self._blocked_index = write.blocked_index
        return write.failures()

    def permissions(self) -> Iterable[Permission]:
        return self._client.permissions()

    async def check(self) -> None:
        """Ask for an update of a document that does not exist: refused like a write would be, and it leaves nothing."""
        index = self._blocked_index or self.config.index or _PROBE
        found = await self._client.send("HEAD", f"/{index}")
        if found.status not in (200, 403, 404):
            raise refusal(found)
        # the demand for an alias, where no index is known, keeps the request from making one
        known = found.status == 200
        action = {"update": {"_index": index, "_id": _PROBE, "require_alias": not known}}
        nothing_there = {"document_missing_exception", "" if known else "index_not_found_exception"}
        for result in await self._bulk(encode(action) + b'\n{"doc":{}}\n', 1):
            if result.error.type not in nothing_there:
                raise UnavailableError(result.code, result.detail)

    async def _bulk(self, body: bytes, documents: int) -> list[Result]:
        answer = await self._client.send("POST", "/_bulk", body, filter_path=WANTED, timeout=self._shard_timeout)
        return read_results(answer, documents)
