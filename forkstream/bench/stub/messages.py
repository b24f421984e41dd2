"""Messages as SQS answers with them, rendered before anything is measured."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from hashlib import md5

import msgspec

HANDLE_BYTES = 344
"""About as long as the receipt handles of AWS, which a consumer has to send back with every delete."""
_SEQUENCE = slice(4, 16)
_RECEIVES = slice(16, 19)

Dealt = tuple[int, int, int]
"""One message handed out: its number, when it was sent (milliseconds since the epoch), how often it was received now."""


class Messages:
    """Renders messages of a pool of bodies; message ``n`` has the body ``n`` modulo the pool's size."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        if not bodies:
            raise ValueError("there is no body")
        self._bodies = bodies
        self._variants: dict[tuple[str, ...], tuple[list[bytes], list[bool]]] = {}

    def render(self, dealt: Sequence[Dealt], wanted: tuple[str, ...]) -> bytes:
        """Give the body of ReceiveMessage's answer. ``wanted`` names the system attributes that were asked for."""
        if not dealt:
            return b"{}"  # SQS leaves the key out
        variant = self._variants.get(wanted)
        if variant is None:
            variant = self._variants[wanted] = self._rendered(wanted)
        parts, receive_counts = variant
        pool = len(parts)
        values: list[int] = []
        for number, sent, receives in dealt:
            values += (number, number, receives)
            values += [receives if counts else sent for counts in receive_counts]
        return b'{"Messages":[%b]}' % (b",".join([parts[one[0] % pool] for one in dealt]) % tuple(values))

    def _rendered(self, wanted: tuple[str, ...]) -> tuple[list[bytes], list[bool]]:
        names = [name for name in _ATTRIBUTES if name in wanted or "All" in wanted]
        attributes = b",".join(b'"%b":"%b"' % (name.encode(), _ATTRIBUTES[name]) for name in names)
        tail = b',"Attributes":{%b}}' % attributes if names else b"}"
        dice = random.Random(1)  # noqa: S311  # not for secrets
        alphabet = string.ascii_letters + string.digits + "+/"
        parts = []
        for body in self._bodies:
            filler = "".join(dice.choices(alphabet, k=HANDLE_BYTES - _RECEIVES.stop - 1)).encode()
            parts.append(
                b'{"MessageId":"%08x-0000-4000-8000-%%012x","ReceiptHandle":"AQEB%%012x%%03x%b=","MD5OfBody":"%b","Body":%b'
                % (
                    dice.getrandbits(32),
                    filler,
                    md5(body, usedforsecurity=False).hexdigest().encode(),
                    msgspec.json.encode(body.decode()).replace(b"%", b"%%"),
                )
                + tail
            )
        return parts, [name == "ApproximateReceiveCount" for name in names if b"%d" in _ATTRIBUTES[name]]


_ATTRIBUTES = {
    "SenderId": b"AIDAFORKSTREAMBENCH00",
    "SentTimestamp": b"%d",
    "ApproximateReceiveCount": b"%d",
    "ApproximateFirstReceiveTimestamp": b"%d",  # SQS tells the first receive's; the sending's will do
}


def read_handle(handle: str) -> tuple[int, int] | None:
    """Give the message's number and the receive that a handle is of; None for what is no handle of this stub."""
    if len(handle) != HANDLE_BYTES or not handle.startswith("AQEB"):
        return None
    try:
        return int(handle[_SEQUENCE], 16), int(handle[_RECEIVES], 16)
    except ValueError:
        return None
