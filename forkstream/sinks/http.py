"""Events to an HTTP endpoint: a webhook, a collector, an API of one's own."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Meta

from forkstream.aws.concurrently import concurrently
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink
from forkstream.settings import Duration, Secret, Settings
from forkstream.sinks.http_answer import error_of
from forkstream.sinks.http_request import SIGNATURE, json_line, prepared

_LARGE = 64 * 2**10
"""Bytes from which compressing and signing would hold up the loop for longer than a thread hop costs."""
_READ = 4096
"""Bytes of an answer that are read: its status is what counts, the rest is for the dead letter."""
_OURS = {"content-type", "content-encoding", "content-length", "transfer-encoding", "host", SIGNATURE.lower()}
_FIELD_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


class HttpConfig(Settings):
    """Where events are sent, and how."""

    url: Annotated[str, Meta(description="the endpoint, https://HOST/PATH", min_length=1)]
    body: Annotated[
        Literal["ndjson", "event"],
        Meta(
            description="ndjson: a batch in one request, one JSON body a line; event: a request for each event, its bytes"
            " as they are and its first id as Idempotency-Key"
        ),
    ] = "ndjson"
    method: Annotated[Literal["POST", "PUT", "PATCH"], Meta(description="the request's method")] = "POST"
    headers: Annotated[
        dict[Annotated[str, Meta(pattern=f"^{_FIELD_NAME}$")], Secret],
        Meta(description="further headers; their values are masked wherever settings are shown"),
    ] = msgspec.field(default_factory=dict)
    content_type: Annotated[
        str | None, Meta(description="without it application/x-ndjson, or application/json for single events")
    ] = None
    secret: Annotated[
        Secret | None,
        Meta(description=f"sign each request with HMAC-SHA256 under this, in the header {SIGNATURE}", min_length=16),
    ] = None
    gzip: Annotated[bool, Meta(description="compress what is sent")] = False
    verify: Annotated[bool, Meta(description="check the server's certificate; false only for a trial")] = True
    ca_file: Annotated[str | None, Meta(description="certificates to trust (PEM), instead of the system's")] = None
    connect_timeout: Annotated[Duration, Meta(description="time to open a connection", gt=0)] = Duration(5)
    request_timeout: Annotated[Duration, Meta(description="time for a request and its whole answer", gt=0)] = Duration(
        30
    )
    at_once: Annotated[
        int, Meta(description="requests of one batch under way at once, if each has one event", ge=1)
    ] = 16


class HttpSink(EventSink[HttpConfig]):
    """Sends events to one URL. Any 2xx is success; redirections are not followed.

    408, 409, 425, 429 and 5xx are tried again, after what ``Retry-After`` says; 401, 403, 404, 501 and the like halt
    the fork; any other 4xx, and 413, is the events' fault: a batch is halved until single events stand accused.
    """

    batch_defaults = BatchDefaults(max_events=500, max_bytes=2**20, max_age=1.0)

    def __init__(self, config: HttpConfig, context: Context) -> None:
        super().__init__(config, context)
        self._host = _host(config.url)
        for name, value in config.headers.items():
            if name.lower() in _OURS:
                raise ValueError(f"headers: {name} is the sink's own")
            if not value.isprintable():
                raise ValueError(f"headers: the value of {name} has characters that no header can have")
        # one request after the other keeps the order, and a batch in one request has one outcome
        self.ordered = config.body == "ndjson" or config.at_once == 1
        self._type = config.content_type or ("application/x-ndjson" if config.body == "ndjson" else "application/json")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = await self._open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def check(self) -> None:
        """Connect, and do the TLS handshake: whether it takes events, only an event could tell."""
        session = await self._open()
        async with session:
            await self._exchange(session, "OPTIONS", b"", {})

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        if self.config.body == "ndjson":
            return await self._write_lines(events)
        return await (self._write_in_turn(events) if self.ordered else self._write_each(events))

    async def _write_lines(self, events: Sequence[Event]) -> list[Failure]:
        failures: list[Failure] = []
        lines: list[bytes] = []
        failed_groups: set[str | None] = set()
        for event in events:
            try:
                if event.group is not None and event.group in failed_groups:
                    failures.append(Failure.transient(event, "behind"))
                else:
                    lines.append(json_line(event.body))
            except PermanentError as error:
                failed_groups.add(event.group)
                failures.append(Failure.permanent(event, error.code, error.detail))
        if lines:
            await self._send(b"".join(lines), {})
        return failures

    async def _write_in_turn(self, events: Sequence[Event]) -> list[Failure]:
        """Send one after the other; once an event failed, none of its group goes."""
        errors: dict[Event, DeliveryError] = {}
        failed_groups: set[str | None] = set()
        for event in events:
            if event.group is not None and event.group in failed_groups:
                errors[event] = TransientError("behind")
                continue
            try:
                await self._send_event(event)
            except DeliveryError as error:
                failed_groups.add(event.group)
                errors[event] = error
        return _failures(events, errors)

    async def _write_each(self, events: Sequence[Event]) -> list[Failure]:
        outcomes = await concurrently(self._send_event, events, at_once=self.config.at_once)
        pairs = zip(events, outcomes, strict=True)
        return _failures(events, {event: found for event, found in pairs if isinstance(found, DeliveryError)})

    async def _send_event(self, event: Event) -> None:
        key = event.id if event.id.isascii() and event.id.isprintable() else event.id.encode().hex()
        await self._send(event.body, {"Idempotency-Key": key})

    async def _send(self, body: bytes, headers: dict[str, str]) -> None:
        assert self._session is not None, "the sink is not open"  # noqa: S101
        prepare = partial(prepared, body, gzip=self.config.gzip, secret=self.config.secret)
        sent, more = prepare() if len(body) < _LARGE else await asyncio.to_thread(prepare)
        fields = {**self.config.headers, "Content-Type": self._type, **headers, **more}
        error = error_of(*await self._exchange(self._session, self.config.method, sent, fields))
        if error is not None:
            raise error

    async def _exchange(
        self, session: aiohttp.ClientSession, method: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with session.request(
                method,
                self.config.url,
                # a BytesIO is sent in pieces, so that megabytes do not hold up the loop
                data=io.BytesIO(body) if body else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.content.read(_READ)
        except TimeoutError:
            raise TransientError("timeout", f"{self._host}: no answer within {self.config.request_timeout}") from None
        except aiohttp.ClientConnectorCertificateError:
            raise UnavailableError("certificate", f"the certificate of {self._host} is not trusted") from None
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL):
            raise TransientError("bad_answer", f"what came back from {self._host} is not HTTP") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError("connection", f"{self._host}: {type(error).__name__}") from None

    async def _open(self) -> aiohttp.ClientSession:
        trust = await asyncio.to_thread(_trust, self.config)
        return aiohttp.ClientSession(
            # no limit of its own: the runtime bounds the writes, and a request must not wait unseen
            connector=aiohttp.TCPConnector(limit=0, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=self.config.request_timeout, sock_connect=self.config.connect_timeout),
            headers={"User-Agent": f"forkstream/{version('forkstream')}"},
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


def _failures(events: Sequence[Event], errors: Mapping[Event, DeliveryError]) -> list[Failure]:
    """Give each failed event its failure. If all failed alike nothing is forgotten by raising, so that the runtime can doubt the endpoint."""
    permanent = [isinstance(error, PermanentError) for error in errors.values()]
    if errors and len(errors) == len(events) and (all(permanent) or not any(permanent)):
        raise next((error for error in errors.values() if isinstance(error, UnavailableError)), errors[events[0]])
    return [_failure(event, error) for event, error in errors.items()]


def _failure(event: Event, error: DeliveryError) -> Failure:
    if isinstance(error, PermanentError):
        return Failure.permanent(event, error.code, error.detail)
    wish = error.retry_after if isinstance(error, TransientError) else None
    return Failure.transient(event, error.code, error.detail, retry_after=wish)


def _host(url: str) -> str:
    """Name the endpoint in messages, without its path, which may be a secret; raises ValueError for what is no URL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is no number, for one
        usable = False
    if not usable:
        raise ValueError("url is not of the form https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url holds a user: put it into headers, where its password is not shown")
    return parts.netloc


def _trust(config: HttpConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UnavailableError("certificate", f"ca_file {config.ca_file}: {error.strerror or error}") from None
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
