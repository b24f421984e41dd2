"""One HTTP/1.1 connection to the stub: a request comes in, its answer goes out, the next may follow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TypeAlias, cast

import msgspec

_CHUNKED = b"\r\ntransfer-encoding: chunked"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request(msgspec.Struct, frozen=True, gc=False):
    """A whole request. ``head`` is in lower case, so that headers are found by their names; ``target`` is as it came."""

    method: bytes
    target: str
    head: bytes
    body: bytes

    def header(self, name: bytes) -> str:
        """Give a header by its lower-case name, its value in lower case too; an empty string where there is none."""
        start = self.head.find(b"\r\n" + name + b":")
        if start < 0:
            return ""
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].decode("latin-1").strip()


Reply: TypeAlias = Callable[[bytes], None]
"""Takes a whole answer, head included, at any later moment; nothing hangs up without an answer."""
Serve: TypeAlias = Callable[[Request, Reply], None]


class StubConnection(asyncio.Protocol):
    """Reads requests one at a time and hands each to ``serve``, with what sends its answer. No bytes hang up."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._head = b""  # of the request whose body is still to come
        self._target = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the overridden method's
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._missing:  # megabytes come in pieces: they are joined once
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing <= 0:
                self._end_body()
            return
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._read()

    def _read(self) -> None:
        """Find the next request in the buffer; what is left of it waits for more."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        raw = self._buffer[:end]
        head, rest = raw.lower(), self._buffer[end + 4 :]
        line_end = raw.find(b"\r\n")
        self._target = raw[: line_end if line_end >= 0 else None]
        if _CHUNKED in head:
            self._read_chunked(head, rest)
            return
        start = head.find(b"\r\ncontent-length:")
        length = int(head[start + 17 : start + 37].split(b"\r\n", 1)[0]) if start >= 0 else 0
        self._head, self._buffer = head, b""
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._hand_over(rest[:length] if self._buffer else rest)
            return
        self._ask_for_body(head)
        self._parts, self._missing = [rest], length - len(rest)

    def _end_body(self) -> None:
        body = b"".join(self._parts)
        if self._missing < 0:
            body, self._buffer = body[: self._missing], body[self._missing :]
        self._parts, self._missing = [], 0
        self._hand_over(body)

    def _read_chunked(self, head: bytes, rest: bytes) -> None:
        """Read a chunked body whole, or wait for more of it; no client that is fast sends one."""
        body, at = bytearray(), 0
        while (line := rest.find(b"\r\n", at)) >= 0:
            size = int(rest[at:line].split(b";")[0], 16)
            if len(rest) < line + 2 + size + 2:
                break
            body += rest[line + 2 : line + 2 + size]
            at = line + 2 + size + 2
            if size == 0:  # no trailer is expected
                self._head, self._buffer = head, rest[at:]
                self._hand_over(bytes(body))
                return
        self._ask_for_body(head)

    def _ask_for_body(self, head: bytes) -> None:
        if b"\r\nexpect: 100-continue" in head and self._transport is not None:
            self._transport.write(_CONTINUE)

    def _hand_over(self, body: bytes) -> None:
        method, _, rest = self._target.partition(b" ")
        self._busy = True
        self._serve(Request(method, rest.rpartition(b" ")[0].decode("latin-1"), self._head, body), self._reply)

    def _reply(self, answer: bytes) -> None:
        self._busy = False
        if self._transport is None:
            return
        if not answer:
            self._transport.abort()
            return
        self._transport.write(answer)
        if self._buffer:
            self._read()


_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"} | {
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 409: "Conflict",
}  # fmt: skip


def answer(status: int, body: bytes, headers: str = "", *, length: int | None = None) -> bytes:
    """Write an answer; ``headers`` are lines, each with its line end. ``length`` is that of a body which HEAD leaves out."""
    size = len(body) if length is None else length
    return b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        _REASONS.get(status, "").encode(),
        headers.encode("latin-1"),
        size,
        body,
    )


def query_of(target: str) -> tuple[str, dict[str, str]]:
    """Divide a request's target into its path and its query."""
    path, _, query = target.partition("?")
    pairs = (pair.partition("=") for pair in re.split("[&;]", query) if pair)
    return path, {name: value for name, _, value in pairs}
