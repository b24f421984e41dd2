"""One request of the http sink: its body, compressed if wanted, and its signature."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

import msgspec
from isal import igzip

from forkstream.errors import PermanentError

SIGNATURE = "Forkstream-Signature"
_skim = msgspec.json.Decoder(msgspec.Raw).decode


def json_line(body: bytes) -> bytes:
    """Give a body's JSON as one line, ended; raises :class:`~forkstream.errors.PermanentError` for what is no JSON.

    Its bytes are kept, but for line breaks, which JSON can only have between its tokens.
    """
    try:
        _skim(body)
        if not body.isascii():
            body.decode()  # skimming leaves UTF-8 unchecked
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PermanentError("not_json", str(error)) from None
    return body.translate(None, b"\r\n") + b"\n"


def prepared(body: bytes, *, gzip: bool, secret: str | None) -> tuple[bytes, dict[str, str]]:
    """Give a request's body as it is sent, and the headers that come of it."""
    headers = {}
    if gzip:
        body = igzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    if secret is not None:
        headers[SIGNATURE] = signature(body, secret, int(time.time()))
    return body, headers


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """Sign a body as it stands on the wire: ``t=TIMESTAMP,v1=HEX``.

    HEX is the HMAC-SHA256, under the secret, of the timestamp in seconds since the epoch, a full stop, and the body
    (compressed, if it is). A receiver computes the same, compares in constant time, and refuses a timestamp that is
    some minutes old, so that nobody can send a request of the past again.
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256)
    return f"t={timestamp},v1={digest.hexdigest()}"
