"""Contract 7 on a real OpenSearch: equal or newer wins, whatever the order in which documents arrive."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.integration.opensearch_kit import by_id, document, found, sink, stock_client, write


async def test_contract_07_an_older_document_is_done_and_changes_nothing(opensearch: str, unique: str) -> None:
    assert not await write(opensearch, [document(unique, "1", {"n": 5}, version=5)])
    assert not await write(opensearch, [document(unique, "1", {"n": 3}, version=3)])
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"1": {"n": 5}}


@pytest.mark.parametrize("version", [5, 6])
async def test_contract_07_an_equal_or_newer_document_wins(opensearch: str, unique: str, version: int) -> None:
    assert not await write(opensearch, [document(unique, "1", {"n": 5}, version=5)])
    assert not await write(opensearch, [document(unique, "1", {"n": 6}, version=version)])
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"1": {"n": 6}}


async def test_contract_07_a_redelivery_changes_nothing(opensearch: str, unique: str) -> None:
    events = [document(unique, str(n), {"n": n}, version=7) for n in range(20)]
    with stock_client(opensearch) as client:
        assert not await write(opensearch, events)
        first = found(client, unique)
        assert not await write(opensearch, events)
        assert found(client, unique) == first


async def test_contract_07_of_one_id_in_one_batch_the_newest_stands(opensearch: str, unique: str) -> None:
    versions = [5, 3, 5, 9, 1, 8]
    events = [document(unique, "1", {"n": version, "at": at}, version=version) for at, version in enumerate(versions)]
    assert not await write(opensearch, events)
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"1": {"n": 9, "at": 3}}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_contract_07_the_newest_stands_after_any_order_of_concurrent_writes(
    opensearch: str, unique: str, seed: int
) -> None:
    events = [document(unique, str(n % 20), {"n": n}, version=n) for n in range(200)]
    random.Random(seed).shuffle(events)
    async with sink(opensearch) as opened:
        failures = await asyncio.gather(*(opened.write(events[start : start + 25]) for start in range(0, 200, 25)))
    assert not any(failures)
    with stock_client(opensearch) as client:
        assert found(client, unique) == {str(n % 20): {"n": n} for n in range(180, 200)}


async def test_without_a_version_the_last_to_arrive_wins(opensearch: str, unique: str) -> None:
    assert not await write(opensearch, [document(unique, "1", {"n": 2}), document(unique, "1", {"n": 1})])
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"1": {"n": 1}}


async def test_a_version_can_have_any_value_that_opensearch_takes(opensearch: str, unique: str) -> None:
    assert not await write(opensearch, [document(unique, "0", version=0), document(unique, "1", version=2**63 - 1)])
    async with sink(opensearch) as opened:
        failures = by_id(
            await opened.write(
                [document(unique, "2", version=-1), document(unique, "3", version=2**63), document(unique, "4")]
            )
        )
    assert {id_: code for id_, (_, code) in failures.items()} == {"2": "bad_version", "3": "bad_version"}
    with stock_client(opensearch) as client:
        assert sorted(found(client, unique)) == ["0", "1", "4"]
