"""Where a service of AWS is reached without an SDK's client."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Literal, Self
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # untyped, documented beside getproxies

import msgspec

from forkstream.aws.certificates import trust
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError

_CA_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name a file of certificates to trust; the first that is set counts."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved endpoint. ``path`` has its leading slash; ``trust`` is None for plain HTTP."""

    host: str
    port: int
    path: str
    region: str
    trust: ssl.SSLContext | None = None

    @classmethod
    async def resolve(cls, session: AwsSession, service: Literal["sqs", "dynamodb"]) -> Self:
        """Resolve as botocore does: region, FIPS, dual-stack, partition, ``AWS_ENDPOINT_URL`` and ``AWS_ENDPOINT_URL_SQS``.

        Raises :class:`~forkstream.errors.UnavailableError` where no region is known, a proxy is set for the endpoint (a
        request would pass it by), or the certificates to trust cannot be read.
        """
        async with session.client(service) as client:
            url, region = client.meta.endpoint_url, client.meta.region_name
        parts = urlsplit(url)
        endpoint = cls(
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            path=parts.path or "/",
            region=region,
        )
        _refuse_proxy(parts.scheme, endpoint)
        if parts.scheme != "https":
            return endpoint
        # reading 140 certificates takes 10-60 ms, in which other forks go on
        return msgspec.structs.replace(endpoint, trust=await asyncio.to_thread(_trust))

    @property
    def authority(self) -> str:
        """The Host header: the host, and the port if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.trust is not None else 80) else f"{host}:{self.port}"


def _refuse_proxy(scheme: str, endpoint: Endpoint) -> None:
    proxies = getproxies_environment()
    if scheme in proxies and not proxy_bypass_environment(f"{endpoint.host}:{endpoint.port}", proxies):
        raise UnavailableError(
            "proxy_unsupported",
            f"{scheme.upper()}_PROXY is set, and the native client talks to {endpoint.host} directly: "
            "set `client: aioboto3`, or name the host in NO_PROXY",
        )


def _trust() -> ssl.SSLContext:
    named = next((name for name in _CA_BUNDLES if os.environ.get(name)), None)
    return trust(os.environ[named] if named else None, named)
