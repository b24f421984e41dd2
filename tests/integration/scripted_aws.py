"""A server in front of the embedded AWS, on a real socket: it sees every request and can spoil any answer.

async with scripted_aws(aws) as wire:
    wire.when("PutObject", lose_answer)             # the next one that fits
    wire.when("PutItem", answer(503), times=None)   # every one
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.settings import AwsSettings

Act = Callable[["Wire", "Request"], Awaitable[web.Response | None]]
"""What to do with a request: the answer to give, or None to hang up without one."""


@dataclass
class Request:
    """One request as it came. ``action`` is the API's name for it."""

    action: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """What went over it, and what is to be done with requests to come."""

    endpoint: str
    upstream: aiohttp.ClientSession
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    most_at_once: int = 0
    under_way: int = 0
    script: list[tuple[str, Act, int | None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> AwsSettings:
        return AwsSettings(endpoint_url=self.url)

    @property
    def actions(self) -> Counter[str]:
        """How many requests there were of each kind."""
        return Counter(request.action for request in self.requests)

    def seen(self, action: str) -> list[Request]:
        return [request for request in self.requests if request.action == action]

    def when(self, action: str, act: Act, *, times: int | None = 1) -> None:
        self.script.append((action, act, times))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what went over the wire fulfils a condition."""
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def forward(self, request: Request) -> web.Response:
        """Let the embedded AWS answer."""
        dropped = {"host", "content-length", "transfer-encoding", "expect"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        async with self.upstream.request(
            request.method,
            self.endpoint + request.target,
            headers=headers,
            data=io.BytesIO(request.body),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}
            }
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=kept, body=body)

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(
            _action(incoming), incoming.method, incoming.raw_path, dict(incoming.headers), await incoming.read()
        )
        self.requests.append(request)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        self.changed.set()
        try:
            answer = await self._next_act(request.action)(self, request)
        finally:
            self.under_way -= 1
        if answer is None:
            assert incoming.transport is not None
            incoming.transport.abort()
            return web.Response()
        return answer

    def _next_act(self, action: str) -> Act:
        for at, (wanted, act, times) in enumerate(self.script):
            if wanted == action:
                if times is not None:
                    self.script[at] = (wanted, act, times - 1)
                    if times == 1:
                        del self.script[at]
                return act
        return Wire.forward


_S3_ACTIONS = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}


def _action(request: web.Request) -> str:
    """Name a request of DynamoDB, or one of S3 to /bucket/key."""
    if "X-Amz-Target" in request.headers:
        return request.headers["X-Amz-Target"].rpartition(".")[2]
    for (method, parameter), action in _S3_ACTIONS.items():
        if request.method == method and parameter in request.query:
            return action
    return {"PUT": "PutObject", "HEAD": "HeadObject"}.get(request.method, request.method)


async def lose_answer(wire: Wire, request: Request) -> None:
    """The effect takes place, and nobody learns of it."""
    await wire.forward(request)


async def lose_request(_: Wire, __: Request) -> None:
    """Nothing takes place, and the connection is gone."""


async def log_in_first(_: Wire, __: Request) -> web.Response:
    """Nothing takes place: a proxy answers with a page of its own, and says that all is well."""
    return web.Response(text="<html><body>Log in first</body></html>", content_type="text/html")


def answer(status: int, code: str = "", message: str = "", headers: dict[str, str] | None = None) -> Act:
    """Answer with an error instead of doing anything, in the form of the service asked."""

    async def act(_: Wire, request: Request) -> web.Response:
        if "X-Amz-Target" in request.headers:
            body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})
            return web.Response(status=status, headers=headers, text=body, content_type="application/x-amz-json-1.0")
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return web.Response(status=status, headers=headers, text=body, content_type="application/xml")

    return act


def hold_until(released: asyncio.Event) -> Act:
    """Take the request and answer only when released."""

    async def act(wire: Wire, request: Request) -> web.Response:
        await released.wait()
        return await wire.forward(request)

    return act


@asynccontextmanager
async def scripted_aws(aws: EmbeddedAws) -> AsyncIterator[Wire]:
    """Serve on a free loopback port, in front of ``aws``."""
    async with aiohttp.ClientSession(auto_decompress=False) as upstream:
        wire = Wire(aws.endpoint_url, upstream)
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{any:.*}", wire.handle)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            wire.url = f"http://{host}:{port}"
            yield wire
        finally:
            await runner.cleanup()
