"""One HTTP/1.1 connection: a request goes out, its answer comes back, the next may follow."""

from __future__ import annotations

import asyncio
from typing import cast

from forkstream.aws.answer import Answer, AnswerReader, BrokenAnswerError


class LostConnectionError(ConnectionError):
    """The connection was gone before one byte of an answer came: whether the request had an effect is unknown."""


class Exchange(asyncio.Protocol):
    """The protocol of one connection, for one request at a time.

    What comes while no request is under way makes the connection unusable: it would be taken for the next one's answer.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = AnswerReader()
        self._waiter: asyncio.Future[Answer] | None = None
        self._patience = 0.0
        self.heard_at = 0.0
        """When the server's last bytes came, on the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self.usable = False
        """Whether another request can be sent; False once the server hung up, sent too much or said that it will close."""
        self.used = 0
        """Requests answered so far."""

    async def ask(self, request: bytes, patience: float) -> Answer:
        """Send a request and wait for the whole answer; ``patience`` is how many seconds the server may be silent.

        Raises :class:`LostConnectionError`, :class:`BrokenAnswerError`, another ``OSError`` or TimeoutError. After an error, and after a
        cancelled wait, the connection is closed.
        """
        assert self._transport is not None  # noqa: S101  # a connection is made before it is handed out
        if not self.usable:
            raise LostConnectionError("the server closed the connection")
        self.usable = False
        self._patience = patience
        self.heard_at = self._loop.time()
        self._waiter = self._loop.create_future()
        if self._timer is None:  # one serves all requests until it rings: it is then put off, if anything was heard
            self._timer = self._loop.call_later(patience, self._check_silence)
        self._transport.write(request)
        try:
            return await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def close(self) -> None:
        """Close at once; what is under way is lost."""
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self.usable = True

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()
            return
        try:
            answer = self._reader.feed(data)
        except BrokenAnswerError as error:
            waiter.set_exception(error)
            return
        if answer is None:
            return
        waiter.set_result(answer)
        self.used += 1
        self.usable = answer.reusable
        if not answer.reusable:
            self.close()

    def eof_received(self) -> None:
        """Take the server's end; without a value returned, the transport closes itself."""
        self.usable = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if not self._reader.begun:
            waiter.set_exception(LostConnectionError("the server closed the connection"))
        elif exc is not None:
            waiter.set_exception(BrokenAnswerError("the connection broke before the answer ended"))
        else:
            try:
                waiter.set_result(self._reader.end())
            except BrokenAnswerError as error:
                waiter.set_exception(error)

    def _check_silence(self) -> None:
        """End the wait if the server has been silent too long; one timer, however many requests and pieces of answers."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        left = self.heard_at + self._patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        else:
            waiter.set_exception(TimeoutError(f"nothing came for {self._patience:.0f} s"))
