"""A relay before the embedded AWS that a test can step into: see each request, and change or drop what comes of it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

Handler: TypeAlias = "Callable[[Request], Awaitable[Answer]]"
Step: TypeAlias = "Callable[[Request, Handler], Awaitable[Answer]]"

_OF_S3 = {"PUT": "PutObject", "HEAD": "HeadObject", "POST": "CreateMultipartUpload", "DELETE": "AbortMultipartUpload"}
_OF_ONE_CONNECTION = {"content-length", "transfer-encoding", "connection", "content-encoding", "expect"}


class Request(msgspec.Struct):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def action(self) -> str:
        """What it asks for, as IAM names it: ``ReceiveMessage``, ``PutObject``; a bare method where there is no name."""
        target = self.headers.get("X-Amz-Target")
        return target.rpartition(".")[2] if target else _OF_S3.get(self.method, self.method)

    @property
    def about(self) -> str:
        """The name of the queue, the table of a batch, or the bucket."""
        content = self.json
        path: str = content.get("QueueUrl") or next(iter(content.get("RequestItems", ())), self.path.split("/", 2)[1])
        return path.rpartition("/")[2].partition("?")[0]

    @property
    def json(self) -> dict[str, Any]:
        """The body of AWS's JSON protocols; empty for any other."""
        return msgspec.json.decode(self.body) if "X-Amz-Target" in self.headers and self.body else {}

    def with_json(self, content: object) -> Request:
        """The same request with another body."""
        return msgspec.structs.replace(self, body=msgspec.json.encode(content))


class Answer(msgspec.Struct):
    """What the client gets; ``hang_up`` closes the connection without a word instead."""

    status: int
    headers: dict[str, str]
    body: bytes
    hang_up: bool = False

    @property
    def json(self) -> dict[str, Any]:
        """The body of AWS's JSON protocols."""
        content: dict[str, Any] = msgspec.json.decode(self.body)
        return content


HANG_UP = Answer(0, {}, b"", hang_up=True)


def answer(content: object) -> Answer:
    """A good answer as AWS's JSON protocols word it."""
    return Answer(200, {"Content-Type": "application/x-amz-json-1.0"}, msgspec.json.encode(content))


def refusal(status: int, code: str, message: str = "by the test") -> Answer:
    """An error as AWS's JSON protocols word it."""
    body = msgspec.json.encode({"__type": f"com.amazonaws#{code}", "message": message})
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": code}, body)


def s3_refusal(status: int, code: str, message: str = "by the test") -> Answer:
    """An error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


async def never() -> Answer:
    """Keep the client waiting until it hangs up."""
    await asyncio.Event().wait()
    raise AssertionError


async def reached(event: threading.Event) -> None:
    """Wait for what happens in another thread."""
    while not event.is_set():
        await asyncio.sleep(0.01)


class Relay:
    """Runs in a thread of its own. ``step(request, pass_on)`` answers each request; None passes everything on.

    ``seen`` counts requests by action and by (action, queue or bucket); ``handed_out`` counts how often clients were
    given each message, by its id.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.url = ""
        self.step: Step | None = None
        self.seen: Counter[str | tuple[str, str]] = Counter()
        self.handed_out: Counter[str] = Counter()
        self.errors: list[Exception] = []

    async def _pass_on(self, request: Request) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        async with self._session.request(
            request.method, self._upstream + request.path, data=request.body, headers=headers, allow_redirects=False
        ) as answered:
            body = await answered.read()
            drop = _OF_ONE_CONNECTION - ({"content-length"} if request.method == "HEAD" else set())
            headers = {name: text for name, text in answered.headers.items() if name.lower() not in drop}
            return Answer(answered.status, headers, body)

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(incoming.method, incoming.raw_path, dict(incoming.headers), await incoming.read())
        self.seen.update([request.action, (request.action, request.about)])
        try:
            given = await (self.step(request, self._pass_on) if self.step else self._pass_on(request))
        except Exception as error:
            self.errors.append(error)
            raise
        if given.hang_up:
            if incoming.transport:
                incoming.transport.abort()
            return web.Response(status=499)
        if request.action == "ReceiveMessage" and given.status == 200:
            self.handed_out.update(message["MessageId"] for message in given.json.get("Messages", ()))
        return web.Response(status=given.status, headers=given.headers, body=given.body)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        timeout = ClientTimeout(total=60)
        async with ClientSession(
            connector=TCPConnector(limit=0), timeout=timeout, auto_decompress=False
        ) as self._session:
            app = web.Application(client_max_size=2**27)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()


@contextmanager
def relay_to(upstream: str) -> Iterator[Relay]:
    """Start a relay on a free port of 127.0.0.1; it ends with the block."""
    relay, ready = Relay(upstream), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(relay.serve(ready, stop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, name="relay")
    thread.start()
    try:
        assert ready.wait(30)
        yield relay
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    assert not relay.errors, "the test's own step failed"
