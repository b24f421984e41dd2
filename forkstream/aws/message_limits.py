"""What SQS takes as a message."""

from __future__ import annotations

import re
from functools import lru_cache

from forkstream.aws.queue import MAX_ENTRIES, OutgoingMessage
from forkstream.errors import PermanentError
from forkstream.ports import Load

MAX_BYTES = 1_048_576
"""Bytes of one message, and of all messages of a batch together, attributes counted, see SendMessageBatch."""
MAX_ATTRIBUTES = 10
"""Attributes of one message, see "Amazon SQS message quotas"."""

_REFUSED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!aws\.|amazon\.)[a-z0-9_.-]{1,256}(?<!\.)", re.IGNORECASE)
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?", re.DOTALL)


def checked_size(message: OutgoingMessage) -> int:
    """Count a message's bytes as SQS does; raises PermanentError, with the reason as code, for one that it would refuse.

    SQS refuses a whole request for some of these, so one such message would cost its neighbours a call.
    """
    if not message.body:
        raise PermanentError("empty_body")
    if not _is_taken(message.body):
        raise PermanentError("invalid_characters", "SQS takes the characters of XML 1.0 only")
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise PermanentError("too_many_attributes", f"{len(message.attributes)}, of {MAX_ATTRIBUTES} that SQS takes")
    size = len(message.body.encode())
    for name, attribute in message.attributes.items():
        kind = _kind(name, attribute.type)
        value = attribute.value
        if isinstance(value, str) and _is_taken(value):
            binary, value = False, value.encode()
        else:
            binary = isinstance(value, bytes)
        if kind is None or not isinstance(value, bytes) or not value or (kind == "Binary") is not binary:
            raise PermanentError("invalid_attribute", name)
        size += len(name) + len(attribute.type.encode()) + len(value)
    if size > MAX_BYTES:
        raise PermanentError("too_large", f"{size} bytes with attributes, of {MAX_BYTES} that SQS takes")
    return size


def _is_taken(text: str) -> bool:
    """Tell whether SQS takes every character; what can be printed it takes, which is told ten times as fast."""
    return text.isprintable() or _REFUSED.search(text) is None


@lru_cache(maxsize=256)  # a queue's messages share a few
def _kind(name: str, type_: str) -> str | None:
    """Give the kind of an attribute, ``String``, ``Number`` or ``Binary``; None if SQS refuses its name or type."""
    kind = _TYPE.fullmatch(type_)
    if kind is None or len(type_) > 256 or not _is_taken(type_) or not _NAME.fullmatch(name):
        return None
    return kind[1]


def billed_requests(load: Load) -> float:
    """Count the requests a second that full batches are billed as: each 64 KB of a payload is one, see "Amazon SQS pricing"."""
    return load.chunks(64 * 2**10, at_once=MAX_ENTRIES)
