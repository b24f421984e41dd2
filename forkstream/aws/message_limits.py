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

_TAKEN = bytes([*b"\t\n\r", *range(0x20, 0x100)])
"""The bytes of UTF-8 that stand in text which SQS takes: XML 1.0 has no other control characters of ASCII."""
_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!aws\.|amazon\.)[a-z0-9_.-]{1,256}(?<!\.)", re.IGNORECASE)
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?", re.DOTALL)


def checked_size(message: OutgoingMessage) -> int:
    """Count a message's bytes as SQS does; raises PermanentError, with the reason as code, for one that it would refuse.

    SQS refuses a whole request for some of these, so one such message would cost its neighbours a call.
    """
    if not message.body:
        raise PermanentError("empty_body")
    body = _encoded(message.body)
    if body is None:
        raise PermanentError("invalid_characters", "SQS takes the characters of XML 1.0 only")
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise PermanentError("too_many_attributes", f"{len(message.attributes)}, of {MAX_ATTRIBUTES} that SQS takes")
    size = len(body)
    for name, attribute in message.attributes.items():
        kind, length = _kind(name, attribute.type)
        value = attribute.value
        binary = not isinstance(value, str)
        data = _encoded(value) if isinstance(value, str) else value
        if kind is None or not isinstance(data, bytes) or not data or (kind == "Binary") is not binary:
            raise PermanentError("invalid_attribute", name)
        size += length + len(data)
    if size > MAX_BYTES:
        raise PermanentError("too_large", f"{size} bytes with attributes, of {MAX_BYTES} that SQS takes")
    return size


def _encoded(text: str) -> bytes | None:
    """Encode text; None if SQS refuses one of its characters."""
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    # measured, µs an order: 0.3 for what is left without the bytes of good text, 1.5 by `isprintable`, 1.3 by a pattern
    if data.translate(None, _TAKEN) or "\ufffe" in text or "\uffff" in text:
        return None
    return data


@lru_cache(maxsize=256)  # a queue's messages share a few
def _kind(name: str, type_: str) -> tuple[str | None, int]:
    """Give an attribute's kind, ``String``, ``Number`` or ``Binary``, None if SQS refuses its name or type; and the bytes of both."""
    kind = _TYPE.fullmatch(type_)
    encoded = _encoded(type_)
    if kind is None or encoded is None or len(type_) > 256 or not _NAME.fullmatch(name):
        return None, 0
    return kind[1], len(name) + len(encoded)


def billed_requests(load: Load) -> float:
    """Count the requests a second that full batches are billed as: each 64 KB of a payload is one, see "Amazon SQS pricing"."""
    return load.chunks(64 * 2**10, at_once=MAX_ENTRIES)
