"""The OpenSearch sink on a real server: what goes in is there, as it was."""

from __future__ import annotations

import json
from decimal import Decimal

import aiohttp
import pytest

from forkstream.event import Event, FailureKind
from forkstream.stages.index import Index, IndexConfig
from tests.integration.opensearch_kit import CONTEXT, document, found, sink, stock_client, write

ORDER = b'{"id":%d,"date":"2018-12-15T23:41:11-08:00","customer":{"id":65144},"payment":{"amount":450.00}}'


async def test_ten_thousand_events_are_ten_thousand_documents(opensearch: str, unique: str) -> None:
    events = [document(unique, str(n), {"n": n, "text": f"ü {n}\n"}, version=n) for n in range(10_000)]
    async with sink(opensearch) as opened:
        for start in range(0, len(events), 2500):
            assert not await opened.write(events[start : start + 2500])
    with stock_client(opensearch) as client:
        assert found(client, unique) == {str(n): {"n": n, "text": f"ü {n}\n"} for n in range(10_000)}


async def test_an_order_goes_through_the_index_stage_into_its_index(opensearch: str, unique: str) -> None:
    stage = Index(
        IndexConfig(name=unique, rotation="month", time="date", id=("customer.id", "id"), version="date"), CONTEXT
    )
    events = [stage(Event(ORDER % n, id=f"m-{n}")) for n in range(3)]
    assert not await write(opensearch, events)
    with stock_client(opensearch) as client:
        documents = found(client, f"{unique}-2018-12")
        assert sorted(documents) == ["65144:0", "65144:1", "65144:2"]
        assert documents["65144:1"]["@timestamp"] == "2018-12-16T07:41:11.000Z"
        # what dashboards do: OpenSearch itself takes the field for a time
        between = {"range": {"@timestamp": {"gte": "2018-12-16T07:41:11Z", "lt": "2018-12-16T07:41:12Z"}}}
        assert client.count(index=f"{unique}-2018-12", body={"query": between})["count"] == 3


async def test_a_document_keeps_the_digits_of_its_numbers(opensearch: str, unique: str) -> None:
    assert not await write(opensearch, [document(unique, "1", {"amount": Decimal("450.00")})])
    async with aiohttp.ClientSession(opensearch) as session, session.get(f"/{unique}/_source/1") as answer:
        assert await answer.read() == b'{"amount":450.00}'


@pytest.mark.parametrize("body", [json.dumps({"a": {"b": [1, 2]}}, indent=2).encode(), b'\r\n{"a":\n{"b":[1,2]}}\n\n'])
async def test_a_body_over_several_lines_is_one_document(opensearch: str, unique: str, body: bytes) -> None:
    assert not await write(opensearch, [document(unique, "1", body=body), document(unique, "2", {"a": None})])
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"1": {"a": {"b": [1, 2]}}, "2": {"a": None}}


async def test_without_an_index_stage_the_sinks_index_and_the_origin_id_serve(opensearch: str, unique: str) -> None:
    events = [Event(b'{"n":1}', id="origin-1"), Event(b'{"n":2}', id='odd "id" / ü')]
    for _ in range(2):  # a replay carries the origin id
        assert not await write(opensearch, events, index=unique)
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"origin-1": {"n": 1}, 'odd "id" / ü': {"n": 2}}


async def test_an_event_without_a_target_fails_alone(opensearch: str, unique: str) -> None:
    lost = Event(b"{}", id="lost")
    async with sink(opensearch) as opened:
        failures = await opened.write([document(unique, "1"), lost, document(unique, "2")])
    assert [(failure.event, failure.kind, failure.code) for failure in failures] == [
        (lost, FailureKind.PERMANENT, "no_target")
    ]
    with stock_client(opensearch) as client:
        assert sorted(found(client, unique)) == ["1", "2"]


async def test_routing_is_handed_on(opensearch: str, unique: str) -> None:
    with stock_client(opensearch) as client:
        client.indices.create(index=unique, body={"mappings": {"_routing": {"required": True}}})
        assert not await write(opensearch, [document(unique, "1", routing="customer-7")])
        assert client.get(index=unique, id="1", routing="customer-7")["_routing"] == "customer-7"


@pytest.mark.parametrize("gzip", [True, False])
async def test_a_batch_over_the_limit_is_sent_in_several_requests(opensearch: str, unique: str, gzip: bool) -> None:
    events = [document(unique, str(n), {"n": n, "fill": "x" * 200}) for n in range(100)]
    assert not await write(opensearch, events, max_request=5000, gzip=gzip)
    assert not await write(opensearch, [document(unique, "big", {"fill": "x" * 9000})], max_request=5000)
    with stock_client(opensearch) as client:
        assert len(found(client, unique)) == 101


async def test_events_of_several_indexes_share_a_request(opensearch: str, unique: str) -> None:
    assert not await write(opensearch, [document(f"{unique}-{n % 3}", str(n)) for n in range(9)])
    with stock_client(opensearch) as client:
        assert sorted(found(client, f"{unique}-1")) == ["1", "4", "7"]
