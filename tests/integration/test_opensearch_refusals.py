"""What a real OpenSearch refuses of a bulk request, and whose fault it is: the event's or the destination's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opensearchpy import OpenSearch

from forkstream.errors import UnavailableError
from forkstream.event import Event, FailureKind
from forkstream.settings import Duration
from tests.integration.opensearch_kit import by_id, document, found, sink, stock_client, write

LONG = {"properties": {"n": {"type": "long"}}}


def poison(index: str) -> dict[str, tuple[Event, str]]:
    """Events that no retry mends, each with its code."""
    return {
        "wrong-type": (document(index, "wrong-type", {"n": "much"}), "mapper_parsing_exception"),
        "not-json": (document(index, "not-json", body=b"{broken"), "mapper_parsing_exception"),
        "empty": (document(index, "empty", body=b""), "mapper_parsing_exception"),
        "two": (
            document(index, "two", body=b'{"n":1}\n{"index":{"_id":"two-2"}}\n{"n":2}'),
            "mapper_parsing_exception",
        ),
        "metadata": (document(index, "metadata", {"_id": "x"}), "mapper_parsing_exception"),
        "strict": (document(f"{index}-strict", "strict", {"other": 1}), "strict_dynamic_mapping_exception"),
        "fields": (document(f"{index}-fields", "fields", {"a": 1, "b": 2}), "illegal_argument_exception"),
        "routing": (document(f"{index}-routing", "routing"), "routing_missing_exception"),
        "upper": (document("Upper", "upper"), "invalid_index_name_exception"),
        "underscore": (document("_all", "underscore"), "invalid_index_name_exception"),
        "": (document(index, "", {"n": 1}), "illegal_argument_exception"),
        "x" * 513: (document(index, "x" * 513), "id_too_long"),
    }


@pytest.fixture
def indexes(opensearch: str, unique: str) -> str:
    with stock_client(opensearch) as client:
        client.indices.create(index=unique, body={"mappings": LONG})
        client.indices.create(index=f"{unique}-strict", body={"mappings": {"dynamic": "strict"} | LONG})
        client.indices.create(index=f"{unique}-fields", body={"settings": {"index.mapping.total_fields.limit": 1}})
        client.indices.create(index=f"{unique}-routing", body={"mappings": {"_routing": {"required": True}}})
    return unique


async def test_contract_02_poison_fails_alone_with_opensearchs_own_name_for_it(opensearch: str, indexes: str) -> None:
    cases = poison(indexes)
    good = [document(indexes, f"good-{n}", {"n": n}) for n in range(len(cases))]
    mixed = [event for pair in zip(good, (event for event, _ in cases.values()), strict=True) for event in pair]
    failures = await write(opensearch, mixed)
    assert failures == {id_: (FailureKind.PERMANENT, code) for id_, (_, code) in cases.items()}
    with stock_client(opensearch) as client:
        assert sorted(found(client, indexes)) == sorted(event.id.removeprefix("origin-") for event in good)


async def test_poison_fails_alone_too_when_nothing_is_beside_it(opensearch: str, indexes: str) -> None:
    for id_, (event, code) in poison(indexes).items():
        assert await write(opensearch, [event]) == {id_: (FailureKind.PERMANENT, code)}


async def test_the_detail_says_why_and_the_code_quotes_nothing(opensearch: str, indexes: str) -> None:
    async with sink(opensearch) as opened:
        (failure,) = await opened.write([document(indexes, "1", {"n": "planted"})])
    assert failure.code == "mapper_parsing_exception"
    assert "planted" in failure.detail
    assert "For input string" in failure.detail


def close(client: OpenSearch, index: str) -> None:
    client.indices.create(index=index)
    client.indices.close(index=index)


def block(kind: str) -> Callable[[OpenSearch, str], None]:
    def create(client: OpenSearch, index: str) -> None:
        client.indices.create(index=index, body={"settings": {f"index.blocks.{kind}": True}})

    return create


def alias(client: OpenSearch, index: str) -> None:
    for part in ("a", "b"):
        client.indices.create(index=f"{index}-{part}", body={"aliases": {index: {}}})


def pipeline(client: OpenSearch, index: str) -> None:
    client.indices.create(index=index, body={"settings": {"index.default_pipeline": "no-such-pipeline"}})


def data_stream(client: OpenSearch, index: str) -> None:
    client.indices.put_index_template(name=index, body={"index_patterns": [index], "data_stream": {}, "priority": 500})


def nothing(client: OpenSearch, index: str) -> None:
    pass


BLOCKED = {
    "closed": (close, "index_closed_exception"),
    "write-block": (block("write"), "cluster_block_exception"),
    "read-only": (block("read_only"), "cluster_block_exception"),
    "disk-full": (block("read_only_allow_delete"), "cluster_block_exception"),
    "no-write-index": (alias, "illegal_argument_exception"),
    "no-pipeline": (pipeline, "illegal_argument_exception"),
    "data-stream": (data_stream, "illegal_argument_exception"),
    "uncreatable": (nothing, "index_not_found_exception"),
}


@pytest.mark.parametrize("case", BLOCKED)
async def test_contract_02_an_index_that_takes_nothing_is_the_destinations_fault(
    opensearch: str, unique: str, case: str
) -> None:
    prepare, code = BLOCKED[case]
    index = f"{case}-{unique}"
    with stock_client(opensearch) as client:
        prepare(client, index)
    blocked = [document(index, f"b{n}", {"@timestamp": "2026-11-23T00:00:00Z"}, version=1) for n in range(3)]
    async with sink(opensearch) as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.write(blocked)
        assert caught.value.code == code
        assert caught.value.detail
        beside = by_id(await opened.write([*blocked, document(unique, "good")]))
    # something went through, so the fork is not halted for these alone: they come again, and then by themselves
    assert beside == {f"b{n}": (FailureKind.TRANSIENT, code) for n in range(3)}


async def test_blocked_and_poisoned_events_keep_their_own_verdicts(opensearch: str, indexes: str) -> None:
    events = [document(f"uncreatable-{indexes}", "b"), document(indexes, "p", {"n": "much"})]
    assert await write(opensearch, events) == {
        "b": (FailureKind.TRANSIENT, "index_not_found_exception"),
        "p": (FailureKind.PERMANENT, "mapper_parsing_exception"),
    }


async def test_a_shard_without_a_primary_fails_for_its_documents_alone(opensearch: str, unique: str) -> None:
    nowhere: dict[str, Any] = {"settings": {"index.routing.allocation.require._name": "no-such-node"}}
    with stock_client(opensearch) as client:
        client.indices.create(index=f"{unique}-nowhere", body=nowhere, params={"wait_for_active_shards": "0"})
    failures = await write(
        opensearch,
        [document(f"{unique}-nowhere", "lost"), document(unique, "good")],
        request_timeout=Duration(4),
    )
    assert failures == {"lost": (FailureKind.TRANSIENT, "unavailable_shards_exception")}
