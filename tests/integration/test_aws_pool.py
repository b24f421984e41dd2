"""Connections are kept, counted and replaced; what was lost with an idle one is asked again only where that does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from forkstream.aws import pool as pool_module
from forkstream.aws.endpoint import Endpoint
from forkstream.aws.exchange import LostConnectionError
from forkstream.aws.pool import ConnectionPool
from tests.integration.raw_server import OK, Connection, RawServer, Script, raw_server, serve_ok

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def pooled(script: Script = serve_ok, size: int = 10) -> AsyncIterator[tuple[ConnectionPool, RawServer]]:
    async with raw_server(script) as server:
        endpoint = Endpoint(host=server.host, port=server.port, path="/", region="eu-west-1")
        pool = ConnectionPool(endpoint, size, 20)
        try:
            yield pool, server
        finally:
            pool.close()


async def ask(pool: ConnectionPool, *, repeatable: bool = True) -> bytes:
    return (await pool.ask(REQUEST, repeatable=repeatable)).body


async def dies_unseen(connection: Connection) -> None:
    """The first connection answers once, and breaks off at its second request."""
    await connection.request()
    connection.send(OK)
    if connection.number == 1:
        await connection.request()
        await connection.hang_up()
    else:
        await serve_ok(connection)


async def test_one_after_the_other_needs_one_connection() -> None:
    async with pooled() as (pool, server):
        for _ in range(5):
            assert await ask(pool) == b"{}"
        assert server.connections == 1


async def test_who_finds_no_connection_free_waits_for_one_in_line() -> None:
    async with pooled(size=3) as (pool, server):
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(ask(pool) for _ in range(30))) == [b"{}"] * 30
        assert server.connections == 3


async def test_a_place_is_given_on_after_errors_and_cancelled_waits() -> None:
    release = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number == 1:
            await connection.hang_up()
            return
        await release.wait()
        connection.send(OK)
        await serve_ok(connection)

    async with pooled(script, size=1) as (pool, server), asyncio.timeout(60):
        with pytest.raises(LostConnectionError):
            await ask(pool)
        first, second, third = (asyncio.create_task(ask(pool)) for _ in range(3))
        while len(server.requests) < 2:
            await asyncio.sleep(0.001)
        second.cancel()
        release.set()
        assert [await first, await third] == [b"{}", b"{}"]


async def test_a_place_that_was_given_to_a_cancelled_wait_is_given_on() -> None:
    async with pooled(size=1) as (pool, _), asyncio.timeout(60):
        pool._places -= 1
        waiting = asyncio.create_task(ask(pool))
        while not pool._line:
            await asyncio.sleep(0)
        pool._give_place()
        waiting.cancel()  # before it woke up
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await ask(pool) == b"{}"


async def test_what_met_a_connection_that_died_idle_is_asked_again_over_a_new_one() -> None:
    async with pooled(dies_unseen) as (pool, server):
        assert [await ask(pool), await ask(pool)] == [b"{}", b"{}"]
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_what_must_not_happen_twice_is_not_asked_again_once_it_was_written() -> None:
    async with pooled(dies_unseen) as (pool, server):
        await ask(pool)
        with pytest.raises(LostConnectionError):
            await ask(pool, repeatable=False)
        assert len(server.requests) == 2


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_connection_known_to_be_dead_is_never_written_to(repeatable: bool) -> None:
    hung_up = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        if connection.number == 1:
            await hung_up.wait()
            await connection.hang_up()
        else:
            await serve_ok(connection)

    async with pooled(script) as (pool, server):
        await ask(pool)
        hung_up.set()
        async with asyncio.timeout(60):
            while pool._free[0].exchange.usable:
                await asyncio.sleep(0.001)
        assert await ask(pool, repeatable=repeatable) == b"{}"
        assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_new_connection_that_breaks_is_not_asked_again() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.hang_up()

    async with pooled(script) as (pool, server):
        with pytest.raises(LostConnectionError):
            await ask(pool)
        assert server.connections == 1


async def test_a_second_break_is_an_error() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number == 1:
            connection.send(OK)
            await connection.request()
        await connection.hang_up()

    async with pooled(script) as (pool, server):
        await ask(pool)
        with pytest.raises(LostConnectionError):
            await ask(pool)
        assert server.connections == 2


@pytest.mark.parametrize("limit", ["IDLE_SECONDS", "AGE_SECONDS"])
async def test_a_connection_beyond_its_limits_is_replaced(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, limit, 0.0)
    async with pooled() as (pool, server):
        for _ in range(3):
            await ask(pool)
        assert server.connections == 3


async def test_idle_connections_are_closed_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.01)
    closed = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await connection.gone()
        closed.set()

    async with pooled(script) as (pool, _):
        await ask(pool)
        async with asyncio.timeout(60):
            await closed.wait()
        assert not pool._free
        assert pool._sweeper is None


async def test_a_pool_that_closes_leaves_no_connection_open() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await connection.gone()
        gone.set()

    async with pooled(script) as (pool, _), asyncio.timeout(60):
        waiting = asyncio.create_task(ask(pool))
        await asked.wait()
        pool.close()
        with pytest.raises(LostConnectionError):
            await waiting
        await gone.wait()


async def test_nobody_there_is_an_os_error(unused_tcp_port: int) -> None:
    endpoint = Endpoint(host="127.0.0.1", port=unused_tcp_port, path="/", region="eu-west-1")
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await ConnectionPool(endpoint, 1, 20).ask(REQUEST, repeatable=True)


async def test_a_connection_that_takes_too_long_to_make_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(pool_module, "CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    endpoint = Endpoint(host="127.0.0.1", port=9, path="/", region="eu-west-1")
    with pytest.raises(TimeoutError, match="no connection"):
        await ConnectionPool(endpoint, 1, 20).ask(REQUEST, repeatable=True)
