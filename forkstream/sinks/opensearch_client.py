"""One OpenSearch cluster: its addresses, credentials and certificates, and the requests to it through opensearch-py."""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Iterable
from types import TracebackType
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from msgspec import Meta
from opensearchpy import AsyncOpenSearch
from opensearchpy.serializer import JSONSerializer

from forkstream.errors import UnavailableError
from forkstream.ports import Permission
from forkstream.settings import AwsSettings, Duration, Secret, Settings
from forkstream.sinks.opensearch_answer import Answer
from forkstream.sinks.opensearch_node import OpenSearchNode, RefusedError
from forkstream.sinks.opensearch_signer import OpenSearchSigner

_ACTIONS = {"es": ("es:ESHttpHead", "es:ESHttpPost"), "aoss": ("aoss:APIAccessAll",)}
_DOMAIN = re.compile(r"(?:search|vpc)-(?P<name>.+)-[a-z0-9]{26}\.(?P<region>[a-z0-9-]+)\.es\.amazonaws\.com(?:\.cn)?")
_COLLECTION = re.compile(r"(?P<name>[a-z0-9]+)\.(?P<region>[a-z0-9-]+)\.aoss\.amazonaws\.com(?:\.cn)?")


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


class OpenSearchClient:
    """Sends requests to one cluster; open it with ``async with``."""

    def __init__(self, settings: OpenSearchConnection, aws: AwsSettings) -> None:
        """Read the settings; raises ValueError for those that cannot work together. ``aws`` is what lies around ``settings.aws``."""
        addresses = (settings.url,) if isinstance(settings.url, str) else settings.url
        if not addresses:
            raise ValueError("url is empty")
        if settings.basic and settings.sigv4:
            raise ValueError("basic and sigv4 exclude each other")
        self._settings = settings
        self._nodes = [_node(address) for address in addresses]
        self._aws = settings.aws.over(aws)
        self._signer = OpenSearchSigner(settings.sigv4, self._aws) if settings.sigv4 else None
        self._client: AsyncOpenSearch | None = None

    def permissions(self) -> Iterable[Permission]:
        """What signed requests have to be allowed; what a domain's own security allows is another thing."""
        service = self._settings.sigv4
        if service is None:
            return
        for node in self._nodes:
            yield Permission(actions=_ACTIONS[service], resource=_arn(service, node["host"]), aws=self._aws)

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._client = AsyncOpenSearch(
            self._nodes,
            connection_class=OpenSearchNode,
            serializer=_AsItIs(),
            # the runtime owns every retry
            max_retries=0,
            retry_on_status=(),
            retry_on_timeout=False,
            # the addresses are those of the config: a cluster behind a proxy names others, which nobody can reach
            sniff_on_start=False,
            sniff_on_connection_fail=False,
            # each node's
            headers=_authorization(settings.basic) if settings.basic else {},
            ssl_context=_trust(settings),
            http_compress=settings.gzip,
            connect_timeout=settings.connect_timeout,
            signer=self._signer,
        )
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def send(self, method: str, path: str, body: bytes = b"", **query: str) -> Answer:
        """Send one request, once, and give the answer whatever its status; ``path`` is unquoted and starts with a slash.

        Raises TransientError if no whole answer came, UnavailableError if the server cannot be trusted or no
        credentials are found.
        """
        assert self._client is not None, "the client is not open"  # noqa: S101
        # Of CPU a document, 1,000 of 590 B a request, median of 400: 0.88 us (2.42 us with gzip) against 0.85 (2.41) on
        # aiohttp alone and 0.90 (2.43) by `client.bulk`; opensearch-py's own connection takes 1.45, and 51 with its gzip.
        try:
            found = await self._client.transport.perform_request(
                method,
                quote(path),
                params=query,
                body=body or None,
                # stated, or the transport would take the server's `timeout` out of the query for its own
                timeout=self._settings.request_timeout,
                headers={"Content-Type": "application/x-ndjson"} if body else None,
            )
        except RefusedError as refused:
            return refused.answer
        if isinstance(found, Answer):
            return found
        return Answer(200 if found else 404, {}, b"")  # the transport makes a bool of the answer to HEAD


class _AsItIs(JSONSerializer):
    """Bodies are bytes already, and answers are read by those who know what they asked for."""

    def dumps(self, data: Any) -> Any:
        return data

    def loads(self, s: Any) -> Any:
        return s


def _node(address: str) -> dict[str, Any]:
    """Give an address as opensearch-py has it, which by itself would take port 9200 where none is stated."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is no number, for one
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ValueError("url is not of the form https://HOST:PORT/PATH")
    if parts.username is not None:
        raise ValueError("url holds a user: put it into basic, where its password is not shown")
    secure = parts.scheme == "https"
    return {
        "host": parts.hostname,
        "port": parts.port or (443 if secure else 80),
        "use_ssl": secure,
        "url_prefix": parts.path.rstrip("/"),
    }


def _arn(service: Literal["es", "aoss"], host: str) -> str:
    """Name what AWS's own addresses tell of a domain or collection; behind a name of one's own it can be any."""
    found = (_DOMAIN if service == "es" else _COLLECTION).fullmatch(host)
    name, region = (found["name"], found["region"]) if found else ("*", "{region}")
    path = f"domain/{name}/*" if service == "es" else f"collection/{name}"
    return f"arn:{{partition}}:{service}:{region}:{{account}}:{path}"


def _authorization(basic: BasicAuth) -> dict[str, str]:
    # opensearch-py's own `http_auth` can encode Latin-1 only
    return {"Authorization": f"Basic {b64encode(f'{basic.user}:{basic.password}'.encode()).decode()}"}


def _trust(settings: OpenSearchConnection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UnavailableError("certificate", f"ca_file {settings.ca_file}: {error.strerror or error}") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
