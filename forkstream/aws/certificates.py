"""Whom connections to AWS trust: the certificates of a bundle, read once a process, and only under their own names."""

from __future__ import annotations

import os
import ssl
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.httpsession import get_cert_path

from forkstream.errors import UnavailableError


def trust(bundle: str | None, named: str | None = None) -> ssl.SSLContext:
    """Trust the certificates in this file, or those that botocore brings. Those of a changed file are read anew.

    Raises :class:`~forkstream.errors.UnavailableError` where it cannot be read, by what it is ``named`` or by its path.
    """
    path = bundle or get_cert_path(verify=True) or ""
    try:
        file = Path(path).stat()
        return _read(path, (file.st_ino, file.st_size, file.st_mtime_ns))
    except OSError as error:  # ssl.SSLError is one
        raise UnavailableError("certificate", f"{named or path}: {type(error).__name__}") from None


class HttpConnections(AIOHTTPSession):
    """aiobotocore's connections, all of which share what they trust, and verify it.

    By itself aiobotocore 2.25 lets each client read some 140 certificates at its first request, plain HTTP or not: 10-60
    ms, in which the loop stands still, a dozen times in a service with the shop's four forks. It takes a certificate of
    another name, and behind a proxy, or where AWS_CA_BUNDLE is set and empty, any certificate at all.
    """

    def _create_connector(self: Any, proxy_url: str | None) -> Any:  # the stubs know none of this
        of_the_proxy = proxy_url and any(self._proxy_config.settings.values())
        if self._verify is False or self._cert_file or of_the_proxy:  # someone has said so
            return AIOHTTPSession._create_connector(self, proxy_url)  # type: ignore[attr-defined]  # noqa: SLF001
        bundle = self._verify or os.environ.get("REQUESTS_CA_BUNDLE")  # set and empty is not set
        context = trust(bundle if isinstance(bundle, str) else None)
        return aiohttp.TCPConnector(limit=self._max_pool_connections, ssl=context, **self._connector_args)


class VerifyingSession(AioSession):
    """A session all of whose clients connect so, those too that botocore opens by itself to find credentials."""

    def create_client(self, *given: Any, config: Any = None, **named: Any) -> Any:
        """Create a client, as botocore does."""
        ours: Any = AioConfig() if config is None else config
        ours = copy(ours) if isinstance(ours, AioConfig) else AioConfig().merge(ours)
        ours.http_session_cls = HttpConnections
        return super().create_client(*given, config=ours, **named)  # type: ignore[call-overload]  # one for each service


@lru_cache(maxsize=8)
def _read(path: str, version: tuple[int, ...]) -> ssl.SSLContext:  # noqa: ARG001  # part of the key
    context = ssl.create_default_context(cafile=path)
    context.set_alpn_protocols(["http/1.1"])
    return context
