"""One OpenSearch cluster over HTTP: addresses, credentials, certificates, and what a connection's failure means."""

from __future__ import annotations

import asyncio
import hashlib
import io
import ssl
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from itertools import cycle
from types import TracebackType
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from isal import igzip
from msgspec import Meta
from yarl import URL

from forkstream.errors import TransientError, UnavailableError
from forkstream.settings import AwsSettings, Duration, Secret, Settings
from forkstream.sinks.opensearch_signer import OpenSearchSigner

_LARGE = 64 * 2**10
"""Bytes from which compressing and hashing a body would hold up the loop for longer than a thread hop costs."""


class BasicAuth(Settings):
    """The user that a cluster's security plugin knows."""

    user: Annotated[str, Meta(description="name of the user")]
    password: Annotated[Secret, Meta(description="password of the user; take it from the environment")]


class OpenSearchConnection(Settings):
    """How a cluster is reached: the part of a config that all that talk to OpenSearch share."""

    url: Annotated[
        str | tuple[str, ...],
        Meta(
            description="the cluster's address, https://HOST:PORT with a path if it has one; of several, each in turn"
        ),
    ]
    basic: Annotated[BasicAuth | None, Meta(description="user and password")] = None
    sigv4: Annotated[
        Literal["es", "aoss"] | None,
        Meta(description="sign as AWS demands: es for a domain of OpenSearch Service, aoss for OpenSearch Serverless"),
    ] = None
    aws: AwsSettings = AwsSettings()
    ca_file: Annotated[str | None, Meta(description="certificates to trust (PEM), instead of the system's")] = None
    verify: Annotated[bool, Meta(description="check the server's certificate; false only for a trial")] = True
    gzip: Annotated[bool, Meta(description="compress requests")] = True
    connect_timeout: Annotated[Duration, Meta(description="time to open a connection", gt=0)] = Duration(5)
    request_timeout: Annotated[Duration, Meta(description="time from sending a request to its whole answer", gt=0)] = (
        Duration(30)
    )


class Answer(msgspec.Struct, frozen=True):
    """What came back, whatever its status; ``retry_after`` in seconds, where the server stated a wish."""

    status: int
    body: bytes
    retry_after: float | None


class OpenSearchClient:
    """Sends requests to one cluster; open it with ``async with``.

    It is written on aiohttp itself, since opensearch-py loses ``Retry-After``, cannot sign with credentials that are
    renewed asynchronously, and logs the bodies of requests at level DEBUG.
    """

    def __init__(self, settings: OpenSearchConnection, aws: AwsSettings) -> None:
        """Read the settings; raises ValueError for those that cannot work together. ``aws`` is what lies around ``settings.aws``."""
        addresses = (settings.url,) if isinstance(settings.url, str) else settings.url
        if not addresses:
            raise ValueError("url is empty")
        if settings.basic and settings.sigv4:
            raise ValueError("basic and sigv4 exclude each other")
        self._settings = settings
        self._addresses = cycle([_checked(address) for address in addresses])
        self._signer = OpenSearchSigner(settings.sigv4, settings.aws.over(aws)) if settings.sigv4 else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        headers = {"User-Agent": f"forkstream/{version('forkstream')}"}
        if settings.basic:
            pair = f"{settings.basic.user}:{settings.basic.password}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        self._session = aiohttp.ClientSession(
            # no limit of its own: the runtime bounds the writes, and a request must not wait unseen
            connector=aiohttp.TCPConnector(limit=0, ssl=_trust(settings)),
            timeout=aiohttp.ClientTimeout(total=settings.request_timeout, sock_connect=settings.connect_timeout),
            headers=headers,
            skip_auto_headers=("Accept-Encoding",),  # answers are small, compressing them only costs the server
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, method: str, path: str, body: bytes = b"", **query: str) -> Answer:
        """Send one request, once, and give the answer whatever its status; ``path`` is unquoted and starts with a slash.

        Raises TransientError if no whole answer came, UnavailableError if the server cannot be trusted or no
        credentials are found.
        """
        assert self._session is not None, "the client is not open"  # noqa: S101
        # quoted just as SigV4 does, or AWS would compute another signature
        target = f"{next(self._addresses)}{quote(path)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        headers = {"Content-Type": "application/x-ndjson"} if body else {}
        if body and self._settings.gzip:
            headers["Content-Encoding"] = "gzip"
        body, digest = await self._prepared(body)
        if self._signer is not None:
            headers = await self._signer.sign(method, target, headers, digest)
        # a BytesIO is sent in pieces, so that megabytes do not hold up the loop
        data = io.BytesIO(body) if body else None
        try:
            async with self._session.request(
                method, URL(target, encoded=True), data=data, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, await response.read(), _retry_after(response.headers.get("Retry-After")))
        except TimeoutError:
            raise TransientError("timeout", f"no answer within {self._settings.request_timeout}") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise UnavailableError("certificate", f"the certificate of {error.host} is not trusted") from None
        except aiohttp.ClientResponseError:
            raise TransientError("bad_answer", "what came back is not HTTP") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError("connection", type(error).__name__) from None

    async def _prepared(self, body: bytes) -> tuple[bytes, str]:
        """Compress a body and hash it where it will be signed, in a thread if it is large."""
        if len(body) < _LARGE:
            return self._prepare(body)
        return await asyncio.to_thread(self._prepare, body)

    def _prepare(self, body: bytes) -> tuple[bytes, str]:
        if body and self._settings.gzip:
            body = igzip.compress(body, compresslevel=1)
        return body, hashlib.sha256(body).hexdigest() if self._signer else ""


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is no number, for one
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ValueError("url is not of the form https://HOST:PORT/PATH")
    if parts.username is not None:
        raise ValueError("url holds a user: put it into basic, where its password is not shown")
    return address.rstrip("/")


def _trust(settings: OpenSearchConnection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UnavailableError("certificate", f"ca_file {settings.ca_file}: {error.strerror or error}") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _retry_after(text: str | None) -> float | None:
    """Read seconds, or a date as RFC 9110 has it."""
    if text is None:
        return None
    if text.isdecimal() and len(text) < 10:
        return float(text)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return None
