"""Contract 11 in the OpenSearch sink: a group's events take effect in their order, and none behind a failed one."""

from __future__ import annotations

import pytest
from aiohttp import web

from forkstream.errors import UnavailableError
from forkstream.event import Event, FailureKind
from tests.integration.opensearch_kit import document, found, stock_client, write
from tests.integration.opensearch_stub import Handler, Request, stub_server


def grouped(*ids: str) -> list[Event]:
    """Events named by their group's letter and a number."""
    return [document("orders", id_, group=id_[0]) for id_ in ids]


def failing(status: int, *ids: str) -> Handler:
    def answer(request: Request, _: web.BaseRequest) -> web.Response:
        error = {"status": status, "error": {"type": "some_exception", "reason": "r"}}
        items = [{"index": error if id_ in ids else {"status": 201}} for id_ in request.ids]
        return web.json_response({"errors": True, "items": items})

    return answer


async def test_contract_11_a_request_holds_one_event_of_a_group() -> None:
    async with stub_server() as stub:
        assert not await write(stub.url, grouped("a1", "b1", "c1", "a2", "c2", "b2", "b3"))
        assert [request.ids for request in stub.requests] == [["a1", "b1", "c1"], ["a2", "c2", "b2"], ["b3"]]


async def test_contract_11_behind_a_failed_event_its_group_waits_and_others_go_on() -> None:
    async with stub_server() as stub:
        for status, kind in ((400, FailureKind.PERMANENT), (503, FailureKind.TRANSIENT)):
            stub.requests.clear()
            stub.handler = failing(status, "a1")
            failures = await write(stub.url, grouped("a1", "b1", "a2", "b2", "a3"))
            assert failures == {
                "a1": (kind, "some_exception"),
                "a2": (FailureKind.TRANSIENT, "behind_failed"),
                "a3": (FailureKind.TRANSIENT, "behind_failed"),
            }
            assert [request.ids for request in stub.requests] == [["a1", "b1"], ["b2"]]


async def test_contract_11_behind_an_event_without_a_target_its_group_waits() -> None:
    async with stub_server() as stub:
        first, second = grouped("a1", "a2")
        failures = await write(stub.url, [Event(first.body, id="origin-a1", group="a"), second])
        assert {id_: code for id_, (_, code) in failures.items()} == {"a1": "no_target", "a2": "behind_failed"}
        assert not stub.requests


async def test_contract_11_a_groups_last_change_stands(opensearch: str, unique: str) -> None:
    events = [document(unique, f"{n % 3}", {"n": n}, group=f"g{n % 3}") for n in range(30)]
    assert not await write(opensearch, events)
    with stock_client(opensearch) as client:
        assert found(client, unique) == {"0": {"n": 27}, "1": {"n": 28}, "2": {"n": 29}}


async def test_contract_11_a_blocked_index_halts_the_fork_also_for_groups() -> None:
    async with stub_server() as stub:
        blocked = {"status": 400, "error": {"type": "index_closed_exception", "reason": "closed"}}
        stub.handler = lambda request, _: web.json_response(
            {"errors": True, "items": [{"index": blocked} for _ in request.ids]}
        )
        with pytest.raises(UnavailableError):
            await write(stub.url, grouped("a1", "b1", "a2"))
