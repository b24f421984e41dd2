"""The certificates that connections to AWS trust, read once a process."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import get_cert_path


def trust(path: str) -> ssl.SSLContext:
    """Trust the certificates in this file; raises OSError where it cannot be read. Those of a changed file are read anew."""
    return _read(path, Path(path).stat().st_mtime_ns)


class HttpConnections(AIOHTTPSession):
    """aiobotocore's connections, all of which share what they trust.

    By itself each client reads some 140 certificates at its first request, plain HTTP or not: 10-60 ms, in which the
    loop stands still. A service with the shop's four forks has a dozen clients.
    """

    def _create_connector(self: Any, proxy_url: str | None) -> Any:  # the stubs know none of this
        path = None if proxy_url or self._cert_file or not self._verify else get_cert_path(self._verify)
        if path is None:
            return AIOHTTPSession._create_connector(self, proxy_url)  # type: ignore[attr-defined]  # noqa: SLF001
        return aiohttp.TCPConnector(limit=self._max_pool_connections, ssl=trust(path), **self._connector_args)


@lru_cache(maxsize=8)
def _read(path: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001  # part of the key
    context = ssl.create_default_context(cafile=path)
    context.set_alpn_protocols(["http/1.1"])
    return context
