"""A real OpenSearch with too little of everything: what it turns away comes again and is never lost or blamed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from forkstream.errors import TransientError, UnavailableError
from forkstream.event import Event, FailureKind
from tests.integration.opensearch_kit import document, found, sink, stock_client, write


async def write_until_done(url: str, events: Sequence[Event]) -> tuple[set[FailureKind], set[str]]:
    """Write as the runtime would, at once, until nothing fails; give the kinds and codes of failures on the way."""
    kinds: set[FailureKind] = set()
    codes: set[str] = set()
    async with sink(url) as opened:
        while events:
            try:
                failures = await opened.write(events)
            except TransientError as error:
                codes.add(error.code)
                continue
            kinds |= {failure.kind for failure in failures}
            codes |= {failure.code for failure in failures}
            events = [failure.event for failure in failures]
    return kinds, codes


async def test_documents_that_a_full_queue_turns_away_come_again(cramped_opensearch: str, unique: str) -> None:
    with stock_client(cramped_opensearch) as client:
        client.indices.create(index=unique, body={"settings": {"number_of_shards": 6, "number_of_replicas": 0}})
        batches = [[document(unique, f"{b}-{n}", {"n": n}, version=1) for n in range(60)] for b in range(2)]
        seen = await asyncio.gather(*(write_until_done(cramped_opensearch, batch) for batch in batches))
        assert {kind for kinds, _ in seen for kind in kinds} == {FailureKind.TRANSIENT}
        assert {code for _, codes in seen for code in codes} == {"rejected_execution_exception"}
        assert len(found(client, unique)) == 120
        client.indices.delete(index=unique)


async def test_a_request_that_the_server_has_no_memory_for_comes_again(cramped_opensearch: str, unique: str) -> None:
    with pytest.raises(TransientError) as caught:
        await write(cramped_opensearch, [document(unique, str(n), {"fill": "x" * 1000}) for n in range(400)])
    assert caught.value.code == "rejected_execution_exception"


async def test_contract_02_a_cluster_with_all_its_shards_is_the_destinations_fault(
    cramped_opensearch: str, unique: str
) -> None:
    with stock_client(cramped_opensearch) as client:
        template = {"index_patterns": [unique], "template": {"settings": {"number_of_shards": 61}}}
        client.indices.put_index_template(name=unique, body=template)
    with pytest.raises(UnavailableError) as caught:
        await write(cramped_opensearch, [document(unique, "1")])
    assert caught.value.code == "validation_exception"
    assert "maximum shards open" in caught.value.detail
