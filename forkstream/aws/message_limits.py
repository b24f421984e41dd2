"""What SQS takes as a message."""

from __future__ import annotations

import re

from forkstream.aws.queue import MAX_ENTRIES, OutgoingMessage
from forkstream.errors import PermanentError
from forkstream.event import Attribute
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
    if _REFUSED.search(message.body):
        raise PermanentError("invalid_characters", "SQS takes the characters of XML 1.0 only")
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise PermanentError("too_many_attributes", f"{len(message.attributes)}, of {MAX_ATTRIBUTES} that SQS takes")
    size = len(message.body.encode())
    for name, attribute in message.attributes.items():
        if not _NAME.fullmatch(name) or not _valid(attribute):
            raise PermanentError("invalid_attribute", name)
        value = attribute.value if isinstance(attribute.value, bytes) else attribute.value.encode()
        size += len(name) + len(attribute.type.encode()) + len(value)
    if size > MAX_BYTES:
        raise PermanentError("too_large", f"{size} bytes with attributes, of {MAX_BYTES} that SQS takes")
    return size


def _valid(attribute: Attribute) -> bool:
    kind = _TYPE.fullmatch(attribute.type)
    if kind is None or len(attribute.type) > 256 or _REFUSED.search(attribute.type) or not attribute.value:
        return False
    if isinstance(attribute.value, bytes):
        return kind[1] == "Binary"
    return kind[1] != "Binary" and not _REFUSED.search(attribute.value)


def billed_requests(load: Load) -> float:
    """Count the requests a second that full batches are billed as: each 64 KB of a payload is one, see "Amazon SQS pricing"."""
    return load.chunks(64 * 2**10, at_once=MAX_ENTRIES)
