"""A client of the admin endpoint that starts at once: for a health check, every import is most of the work."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from forkstream.errors import CommandError

MOST_BYTES = 2**20


class AdminClient:
    """Asks an admin endpoint, ``http://HOST:PORT`` or ``unix:/path``. ``timeout`` is for a whole answer, in seconds.

    Raises CommandError for an address of another shape.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        if not url.startswith("unix:"):
            self._host_and_port()
        self._token = (token or "").strip()
        self._timeout = timeout

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask; returns the status and the body. Raises CommandError if no endpoint answers there in time."""
        try:
            answer = self._exchanged(self._request(method, path, body))
        except TimeoutError:
            raise CommandError(f"no answer from {self.url} within {self._timeout:g} s") from None
        except OSError as error:
            raise CommandError(f"no answer from {self.url}: {error.strerror or error}") from None
        head, _, content = answer.partition(b"\r\n\r\n")
        words = head.split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise CommandError(f"no admin endpoint at {self.url}: its answer is no HTTP")
        return int(words[1]), content

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.0",  # an answer of this version ends with the connection
            f"Host: {'localhost' if self.url.startswith('unix:') else self.url.removeprefix('http://')}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _exchanged(self, request: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout
        with self._connected() as connection:
            connection.sendall(request)
            answer = b""
            while len(answer) < MOST_BYTES:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                received = connection.recv(65536)
                if not received:
                    break
                answer += received
            return answer

    def _connected(self) -> socket.socket:
        if self.url.startswith("unix:"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self._timeout)
            try:
                connection.connect(self.url.removeprefix("unix:"))
            except OSError:
                connection.close()
                raise
            return connection
        return socket.create_connection(self._host_and_port(), self._timeout)

    def _host_and_port(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        if not self.url.startswith("http://") or not host or not port.isdigit():
            raise CommandError(f"expected http://HOST:PORT or unix:/path, found {self.url!r}")
        return host.strip("[]"), int(port)


def url_of(host: str, port: int, path: str | None) -> str:
    """Tell the address to ask, of an endpoint with these settings on this machine."""
    if path:
        return f"unix:{path}"
    if not port:
        raise CommandError("admin.port is 0, so nobody knows the port: name the address with --admin")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def url_in(environ: Mapping[str, str]) -> str:
    """Tell the address to ask on this machine, as far as the environment sets it: a config isn't read for that."""
    prefix = "FORKSTREAM_ADMIN__"
    port = environ.get(f"{prefix}PORT", "8080")
    if not port.isdigit():
        raise CommandError(f"${prefix}PORT: expected a port, found {port!r}")
    return url_of(environ.get(f"{prefix}HOST", "127.0.0.1"), int(port), environ.get(f"{prefix}SOCKET"))
