"""Connections to one endpoint, kept for the next request."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from forkstream.aws.answer import Answer
from forkstream.aws.endpoint import Endpoint
from forkstream.aws.exchange import Exchange, LostConnectionError

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 15.0
"""How long an unused connection is kept; servers and NAT gateways forget idle ones without a word, later than that."""
AGE_SECONDS = 300.0
"""How long a connection is used at all, so that changes of DNS are followed."""


class _Kept(msgspec.Struct):
    exchange: Exchange
    ends_at: float
    idle_since: float = 0.0


class ConnectionPool:
    """At most ``size`` connections to an endpoint; who finds none free waits in line for one.

    The connection used last is used first, so that those not needed any more grow old and are closed.
    """

    def __init__(self, endpoint: Endpoint, size: int, patience: float) -> None:
        """Have up to ``size`` connections; ``patience`` is how many seconds a server may be silent in an answer."""
        self._loop = asyncio.get_running_loop()
        self._endpoint = endpoint
        self._patience = patience
        self._free: list[_Kept] = []
        self._places = size
        self._line: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._open: set[Exchange] = set()

    async def ask(self, request: bytes, *, repeatable: bool) -> Answer:
        """Send a request over a free connection or a new one.

        A kept connection can be dead without our knowing; a ``repeatable`` request that meets one is sent once more, over
        a new connection. Raises what :meth:`Exchange.ask` raises, and OSError or TimeoutError if none can be made.
        """
        if self._places > 0:
            self._places -= 1
        else:
            await self._wait_for_place()
        try:
            kept = self._reusable()
            if kept is not None:
                try:
                    return await self._ask(kept, request)
                except LostConnectionError:
                    if not repeatable:
                        raise
            return await self._ask(await self._connect(), request)
        finally:
            self._give_place()

    def close(self) -> None:
        """Close every connection; requests under way are lost."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._free.clear()
        while self._open:
            self._open.pop().close()

    async def _ask(self, kept: _Kept, request: bytes) -> Answer:
        exchange = kept.exchange
        try:
            answer = await exchange.ask(request, self._patience)
        except BaseException:
            self._open.discard(exchange)  # it is closed
            raise
        if exchange.usable:
            kept.idle_since = exchange.heard_at
            self._free.append(kept)
            if self._sweeper is None:
                self._sweep_later()
        else:
            self._open.discard(exchange)
        return answer

    def _reusable(self) -> _Kept | None:
        now = self._loop.time()
        while self._free:
            kept = self._free.pop()
            if kept.exchange.usable and now < kept.idle_since + IDLE_SECONDS and now < kept.ends_at:
                return kept
            self._close(kept)
        return None

    async def _connect(self) -> _Kept:
        loop = self._loop
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, exchange = await loop.create_connection(
                    Exchange,
                    endpoint.host,
                    endpoint.port,
                    ssl=endpoint.trust,
                    server_hostname=endpoint.host if endpoint.trust is not None else None,
                )
        except TimeoutError:
            raise TimeoutError(f"no connection within {CONNECT_SECONDS:.0f} s") from None
        self._open.add(exchange)
        return _Kept(exchange, loop.time() + AGE_SECONDS)

    def _close(self, kept: _Kept) -> None:
        kept.exchange.close()
        self._open.discard(kept.exchange)

    async def _wait_for_place(self) -> None:
        turn = self._loop.create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_place()  # it was ours already
            raise

    def _give_place(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._places += 1

    def _sweep_later(self) -> None:
        self._sweeper = self._loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long; what is used least lies in front."""
        self._sweeper = None
        now = self._loop.time()
        stale = [kept for kept in self._free if not kept.exchange.usable or now >= kept.idle_since + IDLE_SECONDS]
        self._free = [kept for kept in self._free if kept not in stale]
        for kept in stale:
            self._close(kept)
        if self._free:
            self._sweep_later()
