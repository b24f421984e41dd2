"""JSON whose fractions keep the very characters they were written with: what a stage that only passes values on works with.

A fraction decodes as the ``msgspec.Raw`` of its text, so ``1.50`` and ``2e400`` go out as they came in, also where a
Decimal would write an exponent another way or refuse it. Whole numbers are ``int`` (so ``-0`` becomes 0), strings,
arrays and objects as usual.
"""

from __future__ import annotations

from typing import TypeAlias, TypeGuard

import msgspec
from msgspec import Raw

Exact: TypeAlias = "bool | int | Raw | str | list[Exact] | dict[str, Exact] | None"


def _as_written(text: str) -> Raw:
    return Raw(text.encode())


decode_exact = msgspec.json.Decoder(float_hook=_as_written).decode
"""Decode one JSON text or ``Raw`` part of one; of a key that is written twice the last value counts."""

decode_raw = msgspec.json.Decoder(Raw).decode
"""Check the syntax of a JSON text, but not its UTF-8, and decode nothing."""

decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
"""Decode one object and leave its values as they are. The values are checked as by ``decode_raw``."""

decode_elements = msgspec.json.Decoder(list[Raw]).decode
"""Decode one array and leave its elements as they are, checked likewise."""

encode_exact = msgspec.json.Encoder().encode
"""Encode any of the above, mixed as you like."""


def is_number(value: object) -> TypeGuard[int | Raw]:
    """Tell whether a decoded value is a JSON number."""
    return type(value) is int or type(value) is Raw


def number_text(number: int | Raw) -> str:
    """Give a number's text as it was written."""
    return bytes(number).decode() if isinstance(number, Raw) else str(number)
