"""A server that answers what a test tells it to, and remembers what it was asked: for answers that no OpenSearch gives."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web


class Request(msgspec.Struct, frozen=True):
    """A request as it stood on the wire; ``body`` is decompressed, ``raw`` is not."""

    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.raw) if self.headers.get("Content-Encoding") == "gzip" else self.raw

    @property
    def ids(self) -> list[str]:
        return [json.loads(line)["index"]["_id"] for line in self.body.splitlines()[::2]]


Handler = Callable[[Request, web.BaseRequest], Awaitable[web.StreamResponse] | web.StreamResponse]


def accepted(request: Request, _: web.BaseRequest) -> web.Response:
    """What OpenSearch answers when every document was taken."""
    return web.json_response({"errors": False, "items": [{"index": {"status": 201}} for _ in request.ids]})


class Stub:
    """Answers with ``handler``; ``url`` is where."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.handler: Handler = accepted
        self.closing = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = Request(request.method, request.raw_path, request.headers, await request.content.read())
        self.requests.append(seen)
        answer = self.handler(seen, request)
        return answer if isinstance(answer, web.StreamResponse) else await answer

    async def hang(self, *_: object) -> web.Response:
        """A handler that does not answer."""
        await self.closing.wait()
        return web.Response()


@asynccontextmanager
async def stub_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Stub]:
    stub = Stub()
    runner = web.ServerRunner(web.Server(stub, auto_decompress=False))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        stub.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        yield stub
    finally:
        stub.closing.set()
        await runner.cleanup()
