"""What an HTTP answer means to the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError

_EXCERPT = 500
_UNAVAILABLE = {
    401: "credentials",
    403: "denied",
    404: "missing",
    405: "unsupported",
    407: "credentials",
    410: "missing",
}
_TRANSIENT = {408: "timeout", 409: "conflict", 421: "misdirected", 423: "locked", 425: "too_early", 429: "throttled"}


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> DeliveryError | None:
    """Tell by its status what an answer means; None for success, which is any 2xx.

    A redirection is none: whoever moved the address has to tell the config. Of 501 and 505 another try gets nothing.
    """
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return UnavailableError("redirected", f"HTTP {status}: the address in the config is not the one that answers")
    if status in _UNAVAILABLE or status in (501, 505):
        return UnavailableError(_UNAVAILABLE.get(status, "unsupported"), f"HTTP {status}")
    detail = f"HTTP {status}: {body[:_EXCERPT].decode(errors='replace')}"
    if status in _TRANSIENT or status >= 500 or status < 200:
        code = _TRANSIENT.get(status, "unavailable_for_now" if status == 503 else "server_error")
        return TransientError(code, detail, retry_after=_retry_after(headers.get("Retry-After", "")))
    return PermanentError("too_large" if status == 413 else "rejected", detail)


def _retry_after(text: str) -> float | None:
    """Read the server's wish, seconds or a date, see RFC 9110, 10.2.3."""
    with suppress(ValueError):
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None
