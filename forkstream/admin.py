"""The HTTP endpoint of a running service: its health, metrics and forks, and the few things that may be asked of it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from forkstream.config.model import AdminSettings
from forkstream.config.problem import did_you_mean
from forkstream.errors import CommandError, DeliveryError, UnavailableError
from forkstream.status import ForkStatus, ServiceStatus

MAX_BODY = 4096
"""Bytes of a request's body at most."""
PATIENCE_SECONDS = 10.0
"""How long a caller may take over its request, over its answer, and between two requests."""
SHUTDOWN_SECONDS = 0.5
INDEX = """\
forkstream

GET  /health                 200 unless a restart would help
GET  /ready                  200 while every fork is well
GET  /metrics                for Prometheus
GET  /forks                  every fork as it stands
POST /forks/NAME/pause       with a JSON content type, and `authorization: Bearer TOKEN` if one is set
POST /forks/NAME/resume
POST /switches/NAME          {"on": true}
"""


class Served(Protocol):
    """What the endpoint shows and asks: the service."""

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics."""

    def status(self) -> ServiceStatus:
        """Tell how the service and its forks stand now; cheap enough to be asked at any time."""

    async def pause(self, fork: str, paused: bool) -> str:
        """Pause or resume a fork; says how far that reaches. Raises CommandError or DeliveryError."""

    async def switch(self, name: str, on: bool) -> str:
        """Turn a switch; says how far that reaches. Raises CommandError or DeliveryError."""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that turns a switch."""

    on: bool


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Serves the endpoint for as long as it is entered: ``async with Admin(settings, service) as admin: print(admin.url)``.

    Everyone who reaches it may read. Changing needs the token; without a token, an address that only this machine
    reaches. Browsers change nothing: a page that its user looks at could otherwise do so. ``before`` is awaited before
    each answer: what has to be asked elsewhere is asked then.
    """

    def __init__(
        self, settings: AdminSettings, served: Served, *, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.url = ""
        """Where it listens, ``http://127.0.0.1:8080`` or ``unix:/path``; known once it is entered."""
        self._settings = settings
        self._served = served
        self._before = before
        self._log = structlog.get_logger("forkstream")
        self._only_here = True
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/forks", self._forks),
                web.post("/forks/{name}/{wish:pause|resume}", self._pause),
                web.post("/switches/{name:[A-Za-z0-9_.-]{1,80}}", self._switch),
            ]
        )
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_log_of_the_server(),
            keepalive_timeout=PATIENCE_SECONDS,
            lingering_time=1.0,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        path, host, port = self._settings.socket, self._settings.host, self._settings.port
        try:
            await (self._listen_on(path) if path else self._listen(host, port))
        except OSError as error:
            await self._runner.cleanup()
            where = f"the socket {path}" if path else f"port {port} of {host}"
            raise CommandError(
                f"admin: cannot listen on {where}: {_reason(error)}; set admin.port, or run without it: --no-admin"
            ) from None
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        if self._settings.socket:
            Path(self._settings.socket).unlink(missing_ok=True)  # noqa: ASYNC240  # no more than a name

    async def _listen(self, host: str, port: int) -> None:
        await web.TCPSite(self._runner, host, port).start()
        addresses = self._runner.addresses
        host, port = addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._only_here = all(ip_address(address[0]).is_loopback for address in addresses)

    async def _listen_on(self, path: str) -> None:
        await web.SockSite(self._runner, _private_socket(Path(path))).start()
        self.url = f"unix:{path}"

    # What may come in.

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._check_host(request)
            if request.method not in {"GET", "HEAD"}:
                self._check_change(request)
            if self._before:
                await self._before()
            response = await handler(request)
        except web.HTTPException as refusal:
            told = {name: refusal.headers[name] for name in ("Allow", "WWW-Authenticate") if name in refusal.headers}
            response = _json({"error": _in_words(refusal)}, status=refusal.status, headers=told)
        except CommandError as error:
            response = _json({"error": str(error)}, status=409)
        except DeliveryError as error:  # the desired state could not be written
            detail = error.detail if isinstance(error, UnavailableError) else None
            response = _json({"error": error.code, "detail": detail}, status=503)
        except Exception:  # noqa: BLE001  # logged, without the text that aiohttp would show of it
            route = request.match_info.route.resource
            self._log.exception("admin failed", path=route.canonical if route else None)
            response = _json({"error": "a bug: the log tells where"}, status=500)
        response.headers.update(
            {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "forkstream"}
        )
        return await _sent(response, request)

    def _check_host(self, request: web.Request) -> None:
        """Refuse a name that isn't ours: somebody may have made it point here, so that a browser lets his page ask."""
        if self._settings.socket or "Host" not in request.headers or self._shows_token(request):
            return
        with suppress(ValueError):
            name = urlsplit(f"//{request.headers['Host']}").hostname or ""
            if name in {"localhost", self._settings.host.lower()}:
                return
            if ip_address(name).is_loopback or not self._only_here:  # an address needs no name that could be bent
                return
        raise web.HTTPMisdirectedRequest(text="unknown host: ask by address, as localhost, or with the token")

    def _check_change(self, request: web.Request) -> None:
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            raise web.HTTPForbidden(text="browsers may not change anything")
        if self._settings.token and not self._shows_token(request):
            how = {"WWW-Authenticate": "Bearer"}
            raise web.HTTPUnauthorized(text="changing anything needs `authorization: Bearer TOKEN`", headers=how)
        if not self._settings.token and not self._only_here:
            raise web.HTTPForbidden(text="others than this machine can reach this address: set admin.token first")
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="expected `content-type: application/json`")

    def _shows_token(self, request: web.Request) -> bool:
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        token = self._settings.token or ""
        return bool(token) and kind.lower() == "bearer" and hmac.compare_digest(_bytes(shown), _bytes(token))

    # What may be asked.

    async def _index(self, _request: web.Request) -> web.Response:
        return web.Response(text=INDEX)

    async def _health(self, _request: web.Request) -> web.Response:
        status = self._served.status()
        reasons = {fork.name: _reason_of(fork) for fork in status.forks if fork.stalled or fork.state == "failed"}
        return _json({"healthy": status.healthy, "reasons": reasons}, status=200 if status.healthy else 503)

    async def _ready(self, _request: web.Request) -> web.Response:
        status = self._served.status()
        reasons = {fork.name: _reason_of(fork) for fork in status.forks if fork.state not in {"open", "paused"}}
        reasons |= {f"worker {number}": state for number, state in status.workers.items() if state != "up"}
        about = {"ready": status.ready, "draining": status.draining, "reasons": reasons}
        return _json(about, status=200 if status.ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._served.registry), headers={"Content-Type": content_type})

    async def _forks(self, _request: web.Request) -> web.Response:
        return _json(self._served.status())

    async def _pause(self, request: web.Request) -> web.Response:
        await _body(request)
        name, paused = request.match_info["name"], request.match_info["wish"] == "pause"
        known = [fork.name for fork in self._served.status().forks]
        if name not in known:
            raise web.HTTPNotFound(text=f"no fork {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
        reach = await self._served.pause(name, paused)
        self._log.info("asked to pause" if paused else "asked to resume", fork=name)
        return _json({"paused": {name: paused}, "reach": reach})

    async def _switch(self, request: web.Request) -> web.Response:
        try:
            turn = msgspec.json.decode(await _body(request), type=Turn)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise web.HTTPBadRequest(text='expected {"on": true} or {"on": false}') from None
        name = request.match_info["name"]
        reach = await self._served.switch(name, turn.on)
        self._log.info("asked to switch", switch=name, on=turn.on)
        return _json({"switches": {name: turn.on}, "reach": reach})


def _private_socket(path: Path) -> socket.socket:
    """Make a socket that only this user gets at; one of a process that was killed is replaced."""
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before it listens
    except OSError:
        listener.close()
        raise
    return listener


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body took longer than {PATIENCE_SECONDS:g} s") from None


async def _sent(response: web.StreamResponse, request: web.Request) -> web.StreamResponse:
    """Send the answer, and hang up on whoever does not read it."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport:
            request.transport.abort()
    return response


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # what aiohttp makes of bytes that are no UTF-8


def _json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _reason_of(fork: ForkStatus) -> str:
    return "stalled" if fork.stalled else f"{fork.state}: {fork.code}" if fork.code else fork.state


def _log_of_the_server() -> logging.Logger:
    log = logging.getLogger("aiohttp.server.admin")
    log.addFilter(_of_our_own)
    return log


def _of_our_own(record: logging.LogRecord) -> bool:
    """Leave out what a caller got wrong: it is answered, and whoever can connect could fill the log with errors."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _in_words(refusal: web.HTTPException) -> str:
    match refusal:
        case web.HTTPNotFound() if refusal.text == "404: Not Found":  # aiohttp's own, not ours of an unknown fork
            return "no such path: GET / tells all there are"
        case web.HTTPMethodNotAllowed():
            return f"expected {refusal.headers['Allow']}: GET / tells what may be asked"
    return refusal.text or refusal.reason


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
