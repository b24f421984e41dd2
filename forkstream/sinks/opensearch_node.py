"""One address of an OpenSearch cluster: opensearch-py's connection to it, and what the connection's failure means."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from isal import igzip
from opensearchpy import AIOHttpConnection, TransportError
from yarl import URL

from forkstream.errors import TransientError, UnavailableError
from forkstream.sinks.opensearch_answer import Answer
from forkstream.sinks.opensearch_signer import OpenSearchSigner

_LARGE = 64 * 2**10
"""Bytes from which compressing and hashing a body would hold up the loop for longer than a thread hop costs."""
_TOLD_OF_HEAD = (200, 404)
"""Of an answer to HEAD the transport gives True or False: these two, so that no other is taken for them."""


class RefusedError(TransportError):
    """The server did not take the request. opensearch-py's own errors lack the headers, so here is the whole answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, "refused", None)
        self.answer = answer


class OpenSearchNode(AIOHttpConnection):
    """Sends what opensearch-py's transport has for this address, once, and gives back all of the answer.

    The request is written anew, since opensearch-py's follows redirects, drops a refusal's headers, cannot await a
    signature, compresses on the loop, turns a ``Warning`` header into a Python warning, and logs bodies at level DEBUG;
    this one logs nothing. A connection's failure is raised as one of forkstream's kinds, past the transport: that
    would put the address aside for a minute and more, and forget to close it.
    """

    def __init__(self, *, connect_timeout: float, signer: OpenSearchSigner | None, **options: Any) -> None:
        super().__init__(**options)
        self._connect_timeout = connect_timeout
        self._signer = signer
        self.headers.pop("accept-encoding", None)  # answers are small, compressing them only costs the server
        del self.headers["content-type"]  # AWS demands that it be signed, so a request has its own or none

    async def perform_request(  # noqa: PLR0917  # opensearch-py's signature
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # opensearch-py's signature
        ignore: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Answer]:
        """Send one request; ``url`` is a quoted path. The headers stand in the answer alone.

        Raises RefusedError for an answer that is no success, TransientError if no whole answer came, UnavailableError
        if the server cannot be trusted or no credentials are found.
        """
        # quoted just as SigV4 does, or AWS would compute another signature
        target = f"{self.host}{self.url_prefix}{url}" + (f"?{urlencode(params, quote_via=quote)}" if params else "")
        fields = dict(headers or {})
        if body and self.http_compress:
            fields["Content-Encoding"] = "gzip"
        body, digest = await self._prepared(body or b"")
        if self._signer is not None:
            fields = await self._signer.sign(method, target, fields, digest)
        answer = await self._exchange(method, target, body, fields, self.timeout if timeout is None else timeout)
        taken = answer.status in _TOLD_OF_HEAD if method == "HEAD" else 200 <= answer.status < 300
        if not taken and answer.status not in ignore:
            raise RefusedError(answer)
        # no headers: by Content-Type the transport would choose who reads the answer, and raise at that of a proxy
        return answer.status, {}, answer

    async def _exchange(self, method: str, target: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
        if self.session is None:
            await self._create_aiohttp_session()
        try:
            async with self.session.request(
                method,
                URL(target, encoded=True),
                # a BytesIO is sent in pieces, so that megabytes do not hold up the loop
                data=io.BytesIO(body) if body else None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=self._connect_timeout),
                allow_redirects=False,
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except TimeoutError:
            raise TransientError("timeout", f"no answer within {seconds}") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise UnavailableError("certificate", f"the certificate of {error.host} is not trusted") from None
        except aiohttp.ClientResponseError:
            raise TransientError("bad_answer", "what came back is not HTTP") from None
        except (aiohttp.ClientError, OSError) as error:
            address = URL(self.host)
            raise TransientError("connection", f"{address.host}:{address.port}: {type(error).__name__}") from None

    async def _prepared(self, body: bytes) -> tuple[bytes, str]:
        """Compress a body and hash it where it will be signed, in a thread if it is large."""
        if len(body) < _LARGE:
            return self._prepare(body)
        return await asyncio.to_thread(self._prepare, body)

    def _prepare(self, body: bytes) -> tuple[bytes, str]:
        if body and self.http_compress:
            body = igzip.compress(body, compresslevel=1)
        return body, hashlib.sha256(body).hexdigest() if self._signer else ""

    async def _create_aiohttp_session(self) -> None:
        # opensearch-py's own asks aiohttp for `enable_cleanup_closed`, at which newer Pythons warn
        self.session = aiohttp.ClientSession(
            # no limit of its own: the runtime bounds the writes, and a request must not wait unseen
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl_context),
            headers=self.headers,
            skip_auto_headers=("Accept-Encoding",),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _get_default_user_agent(self) -> str:
        return f"forkstream/{version('forkstream')} {super()._get_default_user_agent()}"
