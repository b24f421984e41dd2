"""What becomes of a write when the answer is not that of a healthy OpenSearch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from forkstream.demo.embedded_aws import free_port
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import FailureKind
from forkstream.settings import Duration
from tests.integration.opensearch_kit import by_id, document, sink, write
from tests.integration.opensearch_stub import Handler, Request, Stub, accepted, stub_server

EVENTS = [document("orders", str(n)) for n in range(4)]
UNREADABLE = {"type": "illegal_argument_exception", "reason": "Malformed action/metadata line [3]"}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


def status(code: int, body: Any = None, **headers: str) -> Handler:
    def answer(*_: object) -> web.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str | None):
            return web.Response(status=code, text=body or "", headers=fields)
        return web.json_response({"error": body, "status": code}, status=code, headers=fields)

    return answer


async def reset(_: Request, request: web.BaseRequest) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def raw(answer: bytes) -> Handler:
    async def handler(_: Request, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.write(answer)
        request.transport.close()
        return web.Response()

    return handler


BAD = [
    (reset, TransientError, "connection"),
    (raw(b""), TransientError, "connection"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), TransientError, "connection"),
    (raw(b"what?\r\n\r\n"), TransientError, "bad_answer"),
    (status(200, "<html>log in</html>"), TransientError, "bad_answer"),
    (status(200, ""), TransientError, "bad_answer"),
    (status(200, '{"errors":false,"items":[{"index":{"status":201}}]}'), TransientError, "bad_answer"),
    (status(200, '{"errors":false,"items":[{},{},{},{}]}'), TransientError, "bad_answer"),
    (status(200, '{"took":3}'), TransientError, "bad_answer"),
    (status(302, "", Location="https://example.com/login"), UnavailableError, "not_opensearch"),
    (status(400, "no handler found for uri [/x/_bulk] and method [POST]"), UnavailableError, "not_opensearch"),
    (status(400, UNREADABLE), PermanentError, "illegal_argument_exception"),
    (status(401, "Unauthorized"), UnavailableError, "credentials"),
    (status(403, '{"Message":"User is not authorized"}'), UnavailableError, "denied"),
    (status(403, {"type": "security_exception", "reason": "no permissions"}), UnavailableError, "security_exception"),
    (status(404, ""), UnavailableError, "missing"),
    (status(405, ""), UnavailableError, "not_opensearch"),
    (status(408, ""), TransientError, "timeout"),
    (status(429, "slow down"), TransientError, "throttled"),
    (status(429, {"type": "circuit_breaking_exception"}), TransientError, "circuit_breaking_exception"),
    (status(429, {"type": "Planted 4111"}), TransientError, "throttled"),
    (status(500, ""), TransientError, "server_error"),
    (status(502, "<html>"), TransientError, "server_error"),
    (status(503, {"type": "cluster_block_exception"}), TransientError, "cluster_block_exception"),
]


@pytest.mark.parametrize(("handler", "kind", "code"), BAD)
async def test_contract_02_a_failed_request_is_of_its_kind(
    stub: Stub, handler: Handler, kind: type[DeliveryError], code: str
) -> None:
    stub.handler = handler
    with pytest.raises(DeliveryError) as caught:
        await write(stub.url, EVENTS)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert len(stub.requests) == 1, "the runtime owns every retry"


async def test_a_server_that_is_not_there_is_transient() -> None:
    with pytest.raises(TransientError) as caught:
        await write(f"http://127.0.0.1:{free_port()}", EVENTS)
    assert caught.value.code == "connection"


async def test_an_answer_that_does_not_come_is_transient(stub: Stub) -> None:
    stub.handler = stub.hang
    with pytest.raises(TransientError) as caught:
        await write(stub.url, EVENTS, request_timeout=Duration(0.1))
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    ("wish", "seconds"), [("7", 7), ("0", 0), ("soon", None), ("-3", None), ("", None), ("9" * 400, None)]
)
async def test_the_servers_wish_for_a_pause_is_handed_on(stub: Stub, wish: str, seconds: float | None) -> None:
    stub.handler = status(429, "", Retry_After=wish)
    with pytest.raises(TransientError) as caught:
        await write(stub.url, EVENTS)
    assert caught.value.retry_after == seconds


async def test_the_wish_can_be_a_date(stub: Stub) -> None:
    async def retry_after(at: datetime) -> float | None:
        stub.handler = status(503, "", Retry_After=format_datetime(at, usegmt=True))
        with pytest.raises(TransientError) as caught:
            await write(stub.url, EVENTS)
        return caught.value.retry_after

    now = datetime.now(UTC)
    later = await retry_after(now + timedelta(hours=1))
    assert later is not None
    assert 0 < later <= 3600
    assert await retry_after(now - timedelta(hours=1)) == 0


def at_most(size: int) -> Handler:
    def answer(request: Request, whole: web.BaseRequest) -> web.Response:
        return web.Response(status=413) if len(request.body) > size else accepted(request, whole)

    return answer


async def test_a_request_that_is_too_large_is_halved_until_it_fits(stub: Stub) -> None:
    stub.handler = at_most(1000)
    events = [document("orders", str(n), {"fill": "x" * 100}) for n in range(16)]
    async with sink(stub.url) as opened:
        assert not await opened.write(events)
        taken = [request for request in stub.requests if len(request.body) <= 1000]
        assert [id_ for request in taken for id_ in request.ids] == [str(n) for n in range(16)]
        refused = len(stub.requests) - len(taken)
        assert not await opened.write(events)
        assert len([request for request in stub.requests if len(request.body) > 1000]) == refused, "the limit is learnt"


async def test_one_document_that_is_too_large_fails_alone(stub: Stub) -> None:
    stub.handler = at_most(1000)
    events = [document("orders", str(n), {"fill": "x" * (2000 if n == 5 else 10)}) for n in range(8)]
    assert await write(stub.url, events) == {"5": (FailureKind.PERMANENT, "too_large")}


async def test_what_is_written_before_a_failed_request_is_not_written_again(stub: Stub) -> None:
    stub.handler = lambda request, whole: (
        status(503)(request, whole) if "2" in request.ids else accepted(request, whole)
    )
    async with sink(stub.url, max_request=130) as opened:
        failures = by_id(await opened.write(EVENTS))
    assert [request.ids for request in stub.requests] == [["0", "1"], ["2", "3"]]
    assert failures == dict.fromkeys(("2", "3"), (FailureKind.TRANSIENT, "server_error"))


async def test_one_event_whose_request_is_refused_is_the_one_at_fault(stub: Stub) -> None:
    stub.handler = lambda request, whole: (
        status(400, UNREADABLE)(request, whole) if "1" in request.ids else accepted(request, whole)
    )
    failures = await write(stub.url, EVENTS, max_request=1)
    assert failures == {"1": (FailureKind.PERMANENT, "illegal_argument_exception")}


async def test_a_type_that_is_no_name_never_becomes_a_code(stub: Stub) -> None:
    items = [{"index": {"status": 400, "error": {"type": "Card 4111 1111", "reason": "r"}}}] * 4
    stub.handler = lambda *_: web.json_response({"errors": True, "items": items})
    assert set((await write(stub.url, EVENTS)).values()) == {(FailureKind.PERMANENT, "http_400")}


async def test_contract_02_a_serverless_collection_that_takes_no_ids_is_the_destinations_fault(stub: Stub) -> None:
    reason = "Document ID is not supported in create/index operation request"
    items = [{"index": {"status": 400, "error": {"type": "illegal_argument_exception", "reason": reason}}}] * 4
    stub.handler = lambda *_: web.json_response({"errors": True, "items": items})
    with pytest.raises(UnavailableError) as caught:
        await write(stub.url, EVENTS)
    assert caught.value.detail == reason


async def test_a_conflict_without_a_version_is_tried_again(stub: Stub) -> None:
    items = [{"index": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}] * 2
    stub.handler = lambda *_: web.json_response({"errors": True, "items": items})
    failures = await write(stub.url, [document("orders", "a"), document("orders", "b", version=1)])
    assert failures == {"a": (FailureKind.TRANSIENT, "version_conflict_engine_exception")}


async def test_a_cancelled_write_leaves_nothing_open(stub: Stub) -> None:
    stub.handler = stub.hang
    async with sink(stub.url) as opened:
        writing = asyncio.create_task(opened.write(EVENTS))
        while not stub.requests:
            await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        stub.handler = accepted
        assert not await opened.write(EVENTS)
