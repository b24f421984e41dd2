"""One connection: its answers come whole or not at all, and it is never used after it could be out of step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from forkstream.aws.answer import BrokenAnswerError
from forkstream.aws.exchange import Exchange, LostConnectionError
from tests.integration.raw_server import OK, Connection, RawServer, Script, raw_server, serve_ok

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"


@asynccontextmanager
async def connected(script: Script = serve_ok) -> AsyncIterator[tuple[Exchange, RawServer]]:
    async with raw_server(script) as server:
        _, exchange = await asyncio.get_running_loop().create_connection(Exchange, server.host, server.port)
        try:
            yield exchange, server
        finally:
            exchange.close()


async def ask(exchange: Exchange) -> bytes:
    answer = await exchange.ask(REQUEST, 20)
    assert answer.status == 200
    return answer.body


async def until_unusable(exchange: Exchange) -> None:
    async with asyncio.timeout(60):
        while exchange.usable:
            await asyncio.sleep(0.001)


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with connected() as (exchange, server):
        for _ in range(5):
            assert await ask(exchange) == b"{}"
            assert exchange.usable
        assert (server.connections, exchange.used) == (1, 5)
        assert server.requests == [REQUEST] * 5


@pytest.mark.parametrize("wire", [OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + OK], ids=["plain", "chunked", "100"])
async def test_an_answer_in_single_bytes_is_whole(wire: bytes) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            for byte in wire:
                connection.send(bytes([byte]))
                await asyncio.sleep(0)

    async with connected(script) as (exchange, _):
        assert [await ask(exchange), await ask(exchange)] == [b"{}", b"{}"]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("wire", [OK, CHUNKED], ids=["plain", "chunked"])
async def test_a_connection_that_ends_at_any_byte_is_an_error_and_not_half_an_answer(wire: bytes, reset: bool) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(wire[: connection.number - 1])
        await (connection.reset() if reset else connection.hang_up())

    async with raw_server(script) as server:
        for sent in range(len(wire)):
            _, exchange = await asyncio.get_running_loop().create_connection(Exchange, server.host, server.port)
            with pytest.raises(LostConnectionError if sent == 0 else (BrokenAnswerError, LostConnectionError)):
                await ask(exchange)
            assert not exchange.usable
        assert server.connections == len(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + OK,  # pipelined garbage
        OK + b"x",
    ],
    ids=["close", "1.0", "second answer", "extra byte"],
)
async def test_a_connection_that_could_be_out_of_step_is_not_used_again(wire: bytes) -> None:
    hung_up = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(wire)
        await connection.gone()
        hung_up.set()

    async with connected(script) as (exchange, _):
        assert await ask(exchange) == b"{}"
        assert not exchange.usable
        async with asyncio.timeout(60):
            await hung_up.wait()
        with pytest.raises(LostConnectionError):
            await ask(exchange)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_without_a_length_ends_with_the_connection(version: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(b"HTTP/" + version + b" 200 OK\r\n\r\n{")
        await asyncio.sleep(0)
        connection.send(b"}")
        await connection.hang_up()

    async with connected(script) as (exchange, _):
        assert await ask(exchange) == b"{}"
        assert not exchange.usable


async def test_what_comes_unasked_makes_the_connection_unusable() -> None:
    late = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await late.wait()
        connection.send(OK)
        await connection.gone()

    async with connected(script) as (exchange, _):
        assert await ask(exchange) == b"{}"
        assert exchange.usable
        late.set()
        await until_unusable(exchange)


async def test_a_server_that_hangs_up_between_requests_is_noticed() -> None:
    late = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await late.wait()
        await connection.hang_up()

    async with connected(script) as (exchange, server):
        await ask(exchange)
        late.set()
        await until_unusable(exchange)
        with pytest.raises(LostConnectionError):
            await ask(exchange)
        assert len(server.requests) == 1


async def test_silence_ends_the_wait_and_the_connection() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK[:10])
        await connection.gone()

    async with connected(script) as (exchange, _):
        with pytest.raises(TimeoutError, match="nothing came"):
            await exchange.ask(REQUEST, 0.05)
        assert not exchange.usable


async def test_a_slow_answer_is_no_silence() -> None:
    """Longer in all than the patience, but never silent for so long."""
    more = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK[:20])
        await more.wait()
        connection.send(OK[20:])

    async with connected(script) as (exchange, _), asyncio.timeout(60):
        started = exchange._loop.time()
        waiting = asyncio.create_task(exchange.ask(REQUEST, 30))
        while not exchange._reader.begun:
            await asyncio.sleep(0.001)
        exchange.heard_at = started - 29  # the timer finds a second left
        exchange._check_silence()
        more.set()
        assert (await waiting).body == b"{}"
        assert exchange.heard_at >= started


async def test_a_cancelled_wait_closes_the_connection_so_that_its_answer_reaches_nobody_else() -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await connection.gone()
        hung_up.set()

    async with connected(script) as (exchange, _):
        waiting = asyncio.create_task(exchange.ask(REQUEST, 20))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not exchange.usable
        async with asyncio.timeout(60):
            await hung_up.wait()


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
    ids=["headers", "body", "upgrade", "garbage"],
)
async def test_an_answer_that_is_too_large_or_none_is_refused_and_the_connection_closed(wire: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(wire)
        await connection.gone()

    async with connected(script) as (exchange, _):
        with pytest.raises(BrokenAnswerError):
            await ask(exchange)
        assert not exchange.usable
