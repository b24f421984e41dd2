"""What tests of the OpenSearch sink share: documents as events, the sink, and a stock client to look with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

from forkstream.event import Event, Failure, FailureKind, Json, Target, encode_json
from forkstream.ports import Context
from forkstream.sinks.opensearch import OpenSearchConfig, OpenSearchSink

CONTEXT = Context(fork="search")


def document(
    index: str,
    id: str,  # noqa: A002  # the field's own name
    data: Json = None,
    *,
    version: int | None = None,
    routing: str | None = None,
    group: str | None = None,
    body: bytes | None = None,
) -> Event:
    """An event as the index stage leaves it."""
    return Event(
        encode_json({"n": 1} if data is None else data) if body is None else body,
        id=f"origin-{id}",
        group=group,
        target=Target(index, id, version, routing),
    )


def sink(url: str | tuple[str, ...], **settings: Any) -> OpenSearchSink:
    return OpenSearchSink(OpenSearchConfig(url=url, **settings), CONTEXT)


async def write(url: str, events: Sequence[Event], **settings: Any) -> dict[str, tuple[FailureKind, str]]:
    """Write once; give kind and code of each failure by the event's document id."""
    async with sink(url, **settings) as opened:
        return by_id(await opened.write(events))


def by_id(failures: Collection[Failure]) -> dict[str, tuple[FailureKind, str]]:
    """Kind and code of each failure, by the event's document id; an event must be named once only."""
    named = {failure.event.id.removeprefix("origin-"): (failure.kind, failure.code) for failure in failures}
    assert len(named) == len(failures)
    return named


@contextmanager
def stock_client(url: str) -> Iterator[OpenSearch]:
    """The client that everybody else uses, to see what is really there."""
    client = OpenSearch(url)
    try:
        yield client
    finally:
        client.close()


def found(client: OpenSearch, index: str) -> dict[str, Any]:
    """Every document of an index by its id."""
    client.indices.refresh(index=index)
    hits = client.search(index=index, body={"size": 10_000, "query": {"match_all": {}}})["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}
