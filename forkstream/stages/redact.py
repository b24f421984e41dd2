"""What a rule puts in the place of a value: nothing, stars, or a pseudonym."""

from __future__ import annotations

import enum
import hmac
from abc import ABC, abstractmethod
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from forkstream.errors import UndecodableError
from forkstream.settings import Secret
from forkstream.stages.exact_json import Exact, decode_exact, is_number, number_text

SHORTEST_KEY: Final = 32
"""Characters of a hash key: 32 hexadecimal digits are the 128 bits that NIST SP 800-107 asks of an HMAC key at least."""

_PLAIN_DIGITS: Final = 64  # a number of a larger or smaller magnitude is canonical in scientific notation
_in_order = msgspec.json.Encoder(order="deterministic").encode


class Gone(enum.Enum):
    """The place of a value that is dropped: whoever holds the value leaves it out."""

    GONE = "gone"


GONE: Final = Gone.GONE
"""The one member, at hand: looking it up in its enum takes longer than many a decision about it."""


class Redaction(ABC):
    """A way to stand in for a value. ``null`` holds nothing to stand in for, so it stays null."""

    @abstractmethod
    def of_text(self, text: str) -> str:
        """Stand in for a string, or for the part of one that a detector found."""

    @abstractmethod
    def of_bytes(self, data: bytes) -> str:
        """Stand in for a binary message attribute."""

    @abstractmethod
    def of_value(self, value: Exact) -> str | None:
        """Stand in for any decoded JSON value, an object or array as a whole."""

    def of_raw(self, raw: Raw) -> str | None:
        """Stand in for a JSON value that was not decoded yet."""
        return self.of_value(decode_exact(raw))


Treatment: TypeAlias = Redaction | Gone
"""What a rule does with what it covers: something stands in for it, or it is dropped."""


class Mask(Redaction):
    """``****``, followed by the last ``keep_last`` characters of a string or number that is at least twice as long.

    The stars do not tell the length. Booleans, objects, arrays and bytes are masked whole.
    """

    def __init__(self, keep_last: int = 0) -> None:
        self._keep_last = keep_last

    def of_text(self, text: str) -> str:
        kept = self._keep_last if len(text) >= 2 * self._keep_last else 0
        return "****" + text[len(text) - kept :]

    def of_bytes(self, data: bytes) -> str:  # noqa: ARG002  # the base's signature
        return "****"

    def of_value(self, value: Exact) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            return self.of_text(value)
        if is_number(value):
            return self.of_text(number_text(value))
        return "****"


class Hash(Redaction):
    """A keyed pseudonym: HMAC-SHA-256 in hexadecimal, so that equal values still join and nobody without the key can guess them.

    What is hashed is a string's own text in UTF-8, and the canonical JSON of everything else: keys in order, no spaces,
    numbers by their value. So ``1``, ``1.0``, ``1e0`` and the string ``"1"`` share a pseudonym, however JSON spells
    them, and another program makes the same one with ``hmac_sha256(key, "john.doe@example.com")``.
    """

    def __init__(self, key: Secret) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(
                f"hash.key has {len(key)} characters, at least {SHORTEST_KEY} are needed:"
                " take the output of `openssl rand -hex 32` from the environment"
            )
        self._key = key.encode()

    def of_text(self, text: str) -> str:
        return self.of_bytes(text.encode())

    def of_bytes(self, data: bytes) -> str:
        return hmac.digest(self._key, data, "sha256").hex()

    def of_value(self, value: Exact) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            return self.of_text(value)
        return self.of_bytes(_in_order(_canonical(value)))


def _canonical(value: Exact) -> Exact:
    if isinstance(value, dict):
        return {key: _canonical(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_canonical(element) for element in value]
    if is_number(value):
        return Raw(_canonical_number(number_text(value)).encode())
    return value


def _canonical_number(text: str) -> str:
    """Spell equal numbers alike: plain digits without idle zeros, ``<digits>e<exponent>`` far from 1, zero without a sign."""
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        raise UndecodableError("number_out_of_range", "an exponent is beyond what can be compared") from None
    assert isinstance(exponent, int)  # noqa: S101  # JSON has no NaN and no infinity
    written = "".join(map(str, digits))
    significant = written.strip("0")
    if not significant:
        return "0"
    return ("-" if sign else "") + _spelled(significant, exponent + len(written) - len(written.rstrip("0")))


def _spelled(significant: str, exponent: int) -> str:
    if abs(exponent) > _PLAIN_DIGITS or len(significant) > _PLAIN_DIGITS:
        return f"{significant}e{exponent}"
    if exponent >= 0:
        return significant + "0" * exponent
    whole, fraction = significant[:exponent], significant[exponent:]
    return f"{whole or '0'}.{fraction.rjust(-exponent, '0')}"
