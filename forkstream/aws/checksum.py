"""The checksums that SQS hands out with a message."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5

from forkstream.aws.queue import ReceivedMessage
from forkstream.event import Attribute


def is_intact(message: ReceivedMessage) -> bool:
    """Tell whether body and message attributes are what SQS took its checksums of."""
    if md5(message.body, usedforsecurity=False).hexdigest() != message.body_md5:
        return False
    return message.attributes_md5 is None or attributes_md5(message.attributes) == message.attributes_md5


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """Compute MD5OfMessageAttributes as SQS documents it ("Calculating the MD5 message digest for message attributes").

    By name: length and bytes of name and type, one byte (1 text, 2 binary), length and bytes of the value.
    """
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        binary = isinstance(attribute.value, bytes)
        for part in (name.encode(), attribute.type.encode()):
            digest.update(len(part).to_bytes(4) + part)
        value = attribute.value if isinstance(attribute.value, bytes) else attribute.value.encode()
        digest.update((b"\x02" if binary else b"\x01") + len(value).to_bytes(4) + value)
    return digest.hexdigest()
