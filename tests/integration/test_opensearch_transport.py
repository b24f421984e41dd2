"""The OpenSearch sink stands on opensearch-py, and loses nothing that opensearch-py by itself would."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import opensearchpy
import pytest
from aiohttp import web

from forkstream.demo.embedded_aws import free_port
from forkstream.errors import TransientError, UnavailableError
from forkstream.settings import AwsSettings
from forkstream.sinks.opensearch_answer import Answer
from forkstream.sinks.opensearch_client import OpenSearchClient, OpenSearchConnection
from forkstream.sinks.opensearch_node import OpenSearchNode
from tests.integration.opensearch_kit import document, sink, write
from tests.integration.opensearch_stub import Stub, accepted, stub_server

EVENTS = [document("orders", str(n)) for n in range(4)]
HTML = "<html>log in</html>"


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


def client(url: str | tuple[str, ...]) -> OpenSearchClient:
    return OpenSearchClient(OpenSearchConnection(url=url), AwsSettings())


async def test_every_request_goes_through_opensearch_py(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    carried: list[tuple[str, str]] = []
    perform_request = opensearchpy.AsyncTransport.perform_request

    async def spy(self: opensearchpy.AsyncTransport, method: str, url: str, **options: Any) -> Any:
        carried.append((method, url))
        return await perform_request(self, method, url, **options)

    monkeypatch.setattr(opensearchpy.AsyncTransport, "perform_request", spy)
    stub.handler = lambda request, whole: accepted(request, whole) if b"index" in request.body else web.Response()
    async with sink(stub.url, index="orders") as opened:
        assert not await opened.write(EVENTS)
        with pytest.raises(TransientError):
            await opened.check()
    assert carried == [("POST", "/_bulk"), ("HEAD", "/orders"), ("POST", "/_bulk")]
    assert [(request.method, request.target.split("?")[0]) for request in stub.requests] == carried
    for request in stub.requests:
        assert f" opensearch-py/{opensearchpy.__versionstr__} " in request.headers["User-Agent"]


async def test_the_time_that_the_server_may_take_is_told_to_the_server(stub: Stub) -> None:
    assert not await write(stub.url, EVENTS)
    assert "timeout=15000ms" in stub.requests[0].target


@pytest.mark.parametrize("status", [200, 204, 302, 401, 403, 404, 429, 503])
@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
async def test_an_answer_keeps_its_status(stub: Stub, method: str, status: int) -> None:
    stub.handler = lambda *_: web.Response(status=status, headers={"Location": "/elsewhere"})
    async with client(stub.url) as opened:
        assert (await opened.send(method, "/orders", b"{}\n" if method == "POST" else b"")).status == status
    assert len(stub.requests) == 1


async def test_an_answer_keeps_its_headers_and_bytes(stub: Stub) -> None:
    for status in (200, 400, 503):
        stub.handler = lambda *_, status=status: web.Response(
            status=status, body=b"\xff\xfe", headers={"X-Opaque": "7"}
        )
        async with client(stub.url) as opened:
            answer = await opened.send("GET", "/")
        assert (answer.status, answer.headers["x-opaque"], answer.body) == (status, "7", b"\xff\xfe")


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/cbor", "application/JSON"])
async def test_an_answer_is_read_alike_whatever_a_proxy_says_it_is(stub: Stub, content_type: str) -> None:
    stub.handler = lambda *_: web.Response(body=HTML.encode(), headers={"Content-Type": content_type})
    with pytest.raises(TransientError) as caught:
        await write(stub.url, EVENTS)
    assert caught.value.code == "bad_answer"


async def test_a_warning_of_the_server_is_no_failure(stub: Stub) -> None:
    def deprecated(*about: Any) -> web.Response:
        answer = accepted(*about)
        answer.headers["Warning"] = '299 OpenSearch-2.19.6 "this is deprecated"'
        return answer

    stub.handler = deprecated
    assert not await write(stub.url, EVENTS)


async def test_an_address_that_fails_stays_in_turn(stub: Stub) -> None:
    failed = 0
    async with client((stub.url, f"http://127.0.0.1:{free_port()}")) as opened:
        for _ in range(8):
            try:
                await opened.send("GET", "/")
            except TransientError:
                failed += 1
    assert (failed, len(stub.requests)) == (4, 4)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://search.example.com", "http://search.example.com:80/orders"),
        ("https://search.example.com/", "https://search.example.com:443/orders"),
        ("https://search.example.com:9243/a%20path/", "https://search.example.com:9243/a%20path/orders"),
        ("http://[::1]:9200", "http://[::1]:9200/orders"),
    ],
)
async def test_an_address_means_what_it_says(monkeypatch: pytest.MonkeyPatch, url: str, target: str) -> None:
    async def exchange(_: OpenSearchNode, method: str, target: str, *__: Any) -> Answer:
        return Answer(200, {}, target.encode())

    monkeypatch.setattr(OpenSearchNode, "_exchange", exchange)
    async with client(url) as opened:
        assert (await opened.send("GET", "/orders")).body == target.encode()


async def test_a_signature_leaves_out_no_header_that_aws_wants_in_it(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    stub.handler = lambda *_: web.Response(status=403)
    async with sink(stub.url, sigv4="es", aws=AwsSettings(region="eu-west-1")) as opened:
        with pytest.raises(UnavailableError):
            await opened.check()
    for request in stub.requests:
        signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        names = {name.lower() for name in request.headers}
        assert {"host"} | {name for name in names if name == "content-type" or name.startswith("x-amz-")} <= set(signed)


async def test_nothing_of_a_failed_request_is_logged_or_traced(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tracer = logging.getLogger("opensearchpy.trace")
    caplog.set_level(logging.DEBUG, tracer.name)
    tracer.addHandler(caplog.handler)
    planted = document("orders", "planted-4111", {"card": "planted-4111"})
    try:
        for status in (200, 400, 503):
            stub.handler = lambda *_, status=status: web.json_response({"error": "planted-4111"}, status=status)
            with pytest.raises((TransientError, UnavailableError)):
                await write(stub.url, [planted])
        with pytest.raises(TransientError):
            await write(f"http://127.0.0.1:{free_port()}", [planted])
    finally:
        tracer.removeHandler(caplog.handler)
    assert "planted" not in caplog.text
