"""A relay before the embedded AWS: it counts the calls of each action, and answers with an error when told to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web


class AwsRelay:
    """Passes on the JSON protocol of AWS (KMS, DynamoDB, SQS). ``calls`` counts actions: ``{"GenerateDataKey": 5}``.

    ``refusal`` is (status, error code, message) to answer instead of passing on; ``hang_up`` drops the connection.
    ``requests`` are the bodies that came.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.refusal: tuple[int, str, str] | None = None
        self.hang_up = False

    async def handle(self, request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].partition(".")[2]
        body = await request.read()
        self.calls[action] += 1
        self.requests.append(json.loads(body))
        if self.hang_up and request.transport is not None:
            request.transport.close()
        if self.refusal is not None:
            status, code, message = self.refusal
            return self._answer(json.dumps({"__type": code, "message": message}).encode(), status)
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        async with ClientSession() as session, session.post(self._upstream, data=body, headers=headers) as answer:
            return self._answer(await answer.read(), answer.status)

    @staticmethod
    def _answer(body: bytes, status: int) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/x-amz-json-1.1")


@asynccontextmanager
async def aws_relay(upstream: str) -> AsyncIterator[AwsRelay]:
    """Start a relay on a free port of 127.0.0.1; it ends with the block."""
    relay = AwsRelay(upstream)
    app = web.Application()
    app.router.add_post("/", relay.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield relay
    finally:
        await runner.cleanup()
