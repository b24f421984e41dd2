"""A server that answers with exact bytes, and hangs up when its script says so.

async with raw_server(script) as server:    # script: async (connection) -> None, run once a connection
    ...
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Connection:
    """One connection as the server sees it; ``number`` counts from 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def request(self) -> bytes:
        """Read a whole request; raises IncompleteReadError when the client has hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self.reader.readexactly(length)
        self.server.requests.append(head + body)
        return body

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def hang_up(self) -> None:
        """Close after everything is sent."""
        await self.writer.drain()
        self.writer.close()

    async def reset(self) -> None:
        """Break the connection off, with a reset."""
        await self.writer.drain()
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        with suppress(ConnectionError):
            while await self.reader.read(4096):
                pass


Script = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """What came, and where to reach the server."""

    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


async def serve_ok(connection: Connection) -> None:
    """Answer every request with an empty object."""
    with suppress(asyncio.IncompleteReadError):
        while True:
            await connection.request()
            connection.send(OK)


@asynccontextmanager
async def raw_server(script: Script = serve_ok, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve on a free loopback port; an error in a script fails the block."""
    known = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        known.connections += 1
        try:
            await script(Connection(known.connections, reader, writer, known))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client hung up, or the block is over
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, known.host, 0, ssl=tls)
    known.port = server.sockets[0].getsockname()[1]
    try:
        yield known
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
