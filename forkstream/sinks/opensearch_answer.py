"""What OpenSearch's answers mean: for a whole request, and for each document of a bulk request."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError

WANTED = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
"""The ``filter_path`` of a bulk request: what is read below. An answer with nothing wrong shrinks to a seventh."""

_BY_STATUS: dict[int, tuple[type[DeliveryError], str]] = {
    401: (UnavailableError, "credentials"),
    403: (UnavailableError, "denied"),
    404: (UnavailableError, "missing"),
    408: (TransientError, "timeout"),
    413: (PermanentError, "too_large"),
    429: (TransientError, "throttled"),
}
_OF_INDEX = frozenset({"index_closed_exception", "index_not_found_exception", "cluster_block_exception"})
_OF_CLUSTER = frozenset({"security_exception", "validation_exception"})
"""``validation_exception`` is what a cluster answers that has as many shards as it may have, with status 400."""
_MISCONFIGURED = (
    "no write index is defined for alias",
    "only write ops with an op_type of create are allowed in data streams",
    "pipeline with id [",
    "Document ID is not supported",  # by OpenSearch Serverless's collections for time series and vectors
)
"""Faults of an index that OpenSearch reports as ``illegal_argument_exception``, as it does those of a document."""
_SAFE_TYPE = re.compile(r"[a-z0-9_]{1,80}")


class Answer(msgspec.Struct, frozen=True):
    """What came back, whatever its status; names of ``headers`` compare without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The server's wish for a pause in seconds, stated as such or as a date (RFC 9110); None where it has none."""
        text = self.headers.get("Retry-After")
        if text is None:
            return None
        if text.isdecimal() and len(text) < 10:
            return float(text)
        with suppress(ValueError, TypeError):
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        return None


class Verdict(enum.Enum):
    """What became of one document."""

    DONE = "done"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    BLOCKED = "blocked"
    """The index or the cluster takes no document at all until someone mends it."""


class _Cause(msgspec.Struct, frozen=True):
    reason: str | None = None


class _Error(msgspec.Struct, frozen=True):
    type: str = ""
    reason: str | None = None
    caused_by: _Cause = _Cause()


class Result(msgspec.Struct, frozen=True):
    """The answer to one document of a bulk request."""

    status: int
    error: _Error = _Error()

    def verdict(self, *, versioned: bool) -> Verdict:
        """Tell what became of the document; ``versioned`` if it was sent with a version of its own."""
        status, kind = self.status, self.error.type
        if 200 <= status < 300:
            return Verdict.DONE
        if status == 409:  # with a version: an equal or newer document is there already
            return Verdict.DONE if versioned and kind == "version_conflict_engine_exception" else Verdict.TRANSIENT
        if kind in _OF_INDEX or kind in _OF_CLUSTER or status in (401, 403):
            return Verdict.BLOCKED
        if kind == "illegal_argument_exception" and (self.error.reason or "").startswith(_MISCONFIGURED):
            return Verdict.BLOCKED
        return Verdict.TRANSIENT if status in (408, 429) or status >= 500 else Verdict.PERMANENT

    @property
    def code(self) -> str:
        """OpenSearch's own name of the error, such as ``mapper_parsing_exception``."""
        return self.error.type if _SAFE_TYPE.fullmatch(self.error.type) else f"http_{self.status}"

    @property
    def detail(self) -> str:
        """OpenSearch's words; they may quote the document."""
        return ": ".join(text for text in (self.error.reason, self.error.caused_by.reason) if text)


class _Item(msgspec.Struct, frozen=True):
    index: Result | None = None
    update: Result | None = None


class _Bulk(msgspec.Struct, frozen=True):
    errors: bool
    items: list[_Item]


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error | str = ""


_read_bulk = msgspec.json.Decoder(_Bulk).decode
_read_refusal = msgspec.json.Decoder(_Refusal).decode


def read_results(answer: Answer, documents: int) -> list[Result]:
    """Read the answer to a bulk request, one result a document in their order; none at all if every one is done.

    Raises what the answer says of the request as a whole, and TransientError if it is not an answer to this request.
    """
    if not 200 <= answer.status < 300:
        raise refusal(answer)
    try:
        bulk = _read_bulk(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError("bad_answer", "the answer is not that of a bulk request") from None
    results = [result for item in bulk.items if (result := item.index or item.update) is not None]
    if len(results) != documents:
        raise TransientError("bad_answer", f"{len(results)} results for {documents} documents")
    return results if bulk.errors else []


def refusal(answer: Answer) -> DeliveryError:
    """Tell what a refused request means: try again, never, or not until someone mends the cluster or the config."""
    error = _error(answer.body)
    kind, code = _BY_STATUS.get(answer.status) or _of_status(answer.status, error)
    if error is not None and _SAFE_TYPE.fullmatch(error.type):
        code = error.type if code != "too_large" else code
    detail = f"HTTP {answer.status}: {error.reason}" if error and error.reason else f"HTTP {answer.status}"
    if kind is TransientError:
        return TransientError(code, detail, retry_after=answer.retry_after)
    return kind(code, detail)


def _error(body: bytes) -> _Error | None:
    """Give OpenSearch's own error, None where something else answered or OpenSearch has no such endpoint."""
    try:
        error = _read_refusal(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return error if isinstance(error, _Error) else None


def _of_status(status: int, error: _Error | None) -> tuple[type[DeliveryError], str]:
    if status >= 500:
        return TransientError, "server_error"
    if status == 400 and error is not None:
        return PermanentError, "rejected"  # by OpenSearch, which could not read the request: some event is at fault
    return UnavailableError, "not_opensearch"
