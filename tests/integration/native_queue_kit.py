"""The native wire to a server that answers as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from forkstream.aws.native_queue import NativeQueueClient
from forkstream.aws.queue_address import QueueAddress
from forkstream.settings import AwsSettings
from tests.integration.raw_server import Connection, RawServer, raw_server

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"


class Sqs:
    """A server that takes answers from a script, in turn; None hangs up without one."""

    def __init__(self, *script: bytes | None) -> None:
        self.script = list(script)
        self.server: RawServer
        self.bodies: list[dict[str, Any]] = []

    async def serve(self, connection: Connection) -> None:
        while True:
            self.bodies.append(json.loads(await connection.request()))
            answer = self.script.pop(0)
            if answer is None:
                await connection.hang_up()
                return
            connection.send(answer)

    @property
    def heads(self) -> list[dict[str, str]]:
        """The headers of every request."""
        heads = (request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:] for request in self.server.requests)
        return [{name.lower(): value for name, _, value in (line.partition(": ") for line in head)} for head in heads]

    @property
    def signers(self) -> list[str]:
        return [re.findall(r"Credential=([^/]+)/", head["authorization"])[0] for head in self.heads]


def answer(body: Any, status: int = 200, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content


def refusal(name: str, status: int = 400, message: str = "no", **headers: str) -> bytes:
    return answer({"__type": f"com.amazonaws.sqs#{name}", "message": message}, status, **headers)


@pytest.fixture
def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


@asynccontextmanager
async def queue(*script: bytes | None, address: str = URL) -> AsyncIterator[tuple[NativeQueueClient, Sqs]]:
    sqs = Sqs(*script)
    async with raw_server(sqs.serve) as server:
        sqs.server = server
        settings = AwsSettings(region="eu-west-1", endpoint_url=f"http://127.0.0.1:{server.port}")
        async with NativeQueueClient.open(QueueAddress.parse(address), settings) as client:
            yield client, sqs


OK = answer({})
