"""The OpenSearch sink's check: it tells whether a write could work, and leaves nothing behind."""

from __future__ import annotations

import pytest
from aiohttp import web
from opensearchpy import OpenSearch

from forkstream.demo.embedded_aws import free_port
from forkstream.errors import TransientError, UnavailableError
from tests.integration.opensearch_kit import document, sink, stock_client
from tests.integration.opensearch_stub import stub_server


def names(client: OpenSearch) -> set[str]:
    return set(client.indices.get(index="*,.*", expand_wildcards="all"))


async def test_a_check_passes_and_makes_nothing(opensearch: str, unique: str) -> None:
    with stock_client(opensearch) as client:
        client.indices.create(index=f"{unique}-there")
        client.indices.create(index=f"{unique}-a", body={"aliases": {f"{unique}-alias": {}}})
        for index in (None, f"{unique}-new", f"{unique}-there", f"{unique}-alias"):
            async with sink(opensearch, index=index) as opened:
                await opened.check()
        made = {name for name in names(client) if unique in name or "forkstream" in name}
        assert made == {f"{unique}-there", f"{unique}-a"}
        for index in made:
            client.indices.refresh(index=index)
            assert client.count(index=index)["count"] == 0


@pytest.mark.parametrize("setting", ["write", "read_only", "read_only_allow_delete"])
async def test_a_check_sees_a_blocked_index(opensearch: str, unique: str, setting: str) -> None:
    with stock_client(opensearch) as client:
        client.indices.create(index=unique, body={"settings": {f"index.blocks.{setting}": True}})
    async with sink(opensearch, index=unique) as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.check()
    assert caught.value.code == "cluster_block_exception"
    assert unique in caught.value.detail


async def test_after_a_blocked_write_the_check_passes_only_when_that_index_is_mended(
    opensearch: str, unique: str
) -> None:
    with stock_client(opensearch) as client:
        client.indices.create(index=unique)
        client.indices.close(index=unique)
        async with sink(opensearch) as opened:
            with pytest.raises(UnavailableError):
                await opened.write([document(unique, "1")])
            with pytest.raises(UnavailableError) as caught:
                await opened.check()
            assert caught.value.code == "index_closed_exception"
            client.indices.open(index=unique)
            await opened.check()
            assert not await opened.write([document(unique, "1")])
            client.indices.close(index=unique)
            await opened.check()  # no index is known to fail now, so none is asked for


async def test_a_check_without_a_server_says_so() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with sink(f"http://{address}") as opened:
        with pytest.raises(TransientError) as caught:
            await opened.check()
    assert (caught.value.code, caught.value.detail) == ("connection", f"{address}: ClientConnectorError")


@pytest.mark.parametrize(("status", "kind"), [(401, UnavailableError), (503, TransientError)])
async def test_a_check_says_what_the_server_answers(status: int, kind: type[Exception]) -> None:
    async with stub_server() as stub, sink(stub.url) as opened:
        stub.handler = lambda *_: web.Response(status=status)
        with pytest.raises(kind):
            await opened.check()
