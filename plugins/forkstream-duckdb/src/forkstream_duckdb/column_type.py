"""What a column's type takes, exactly: a value that does not fit is refused, never rounded or guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeAlias

from forkstream.event import Json, encode_json

Write: TypeAlias = Callable[[Json], str]
"""Writes a value as text that DuckDB casts to the column's type without loss; raises :class:`MisfitError`."""

TYPES = "BOOLEAN, SMALLINT, INTEGER, BIGINT, HUGEINT, DOUBLE, DECIMAL(p,s), VARCHAR, DATE, TIMESTAMP, TIMESTAMPTZ, JSON"
"""The types that a column can be declared with, see "Data Types" in DuckDB's documentation."""

_BITS = {"SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_DECIMAL = re.compile(r"DECIMAL\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)")
_MOST_DIGITS = 38


class MisfitError(ValueError):
    """A value that a column's type cannot take as it is; the message says what would fit."""


class ColumnType:
    """A type of DuckDB by its name: ``DECIMAL(12,2)``. ``name`` is how DuckDB itself spells it."""

    def __init__(self, text: str) -> None:
        """Read the name; raises ValueError for a type that is not among :data:`TYPES`."""
        self.name, self.write = _known(text.strip().upper())

    def __repr__(self) -> str:
        return f"ColumnType({self.name!r})"


def _known(text: str) -> tuple[str, Write]:
    simple: dict[str, tuple[str, Write]] = {
        "BOOLEAN": ("BOOLEAN", _boolean),
        "DOUBLE": ("DOUBLE", _double),
        "VARCHAR": ("VARCHAR", _text),
        "DATE": ("DATE", _date),
        "TIMESTAMP": ("TIMESTAMP", _moment),
        "TIMESTAMPTZ": ("TIMESTAMP WITH TIME ZONE", _zoned),
        "JSON": ("JSON", _json),
    }
    if text in simple:
        return simple[text]
    if text in _BITS:
        return text, _integer(_BITS[text])
    match = _DECIMAL.fullmatch(text)
    if match and int(match[2]) <= int(match[1]) <= _MOST_DIGITS and int(match[1]) > 0:
        return f"DECIMAL({int(match[1])},{int(match[2])})", _decimal(int(match[1]), int(match[2]))
    raise ValueError(f"{text!r} is no type that a column can have; known: {TYPES}")


def _boolean(value: Json) -> str:
    if not isinstance(value, bool):
        raise MisfitError(_expected("a boolean", value))
    return str(value)


def _integer(bits: int) -> Write:
    def write(value: Json) -> str:
        number = _number(value)
        # the size first: 1e999999 is short, but not as an int
        fits = number.adjusted() <= _MOST_DIGITS and number == number.to_integral_value()
        if not fits or not -(2 ** (bits - 1)) <= int(number) < 2 ** (bits - 1):
            raise MisfitError(f"expected a whole number of {bits} bits")
        return str(int(number))

    return write


def _decimal(precision: int, scale: int) -> Write:
    def write(value: Json) -> str:
        number = _number(value)
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)  # noqa: S101  # JSON has no infinity
        significant = "".join(map(str, digits)).rstrip("0")
        lowest = exponent + len(digits) - len(significant)
        if number and (lowest < -scale or number.adjusted() >= precision - scale):
            raise MisfitError(f"expected a number of at most {precision} digits, {scale} of them after the point")
        return f"{number:f}" if number else "0"

    return write


def _double(value: Json) -> str:
    nearest = float(_number(value))
    if nearest in (float("inf"), float("-inf")):
        raise MisfitError("expected a number that a DOUBLE can hold")
    return repr(nearest)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    return encode_json(value).decode()


def _date(value: Json) -> str:
    if not isinstance(value, str):
        raise MisfitError(_expected("a date", value))
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise MisfitError("expected a date such as 2026-01-31") from None


def _moment(value: Json) -> str:
    """Write an instant as UTC without a zone, which is what a TIMESTAMP holds."""
    if not isinstance(value, str):
        raise MisfitError(_expected("a time", value))
    try:
        moment = datetime.fromisoformat(value)
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MisfitError("expected a time with its offset from UTC such as 2026-01-31T12:00:00Z")
    return utc.replace(tzinfo=None).isoformat(sep=" ")


def _zoned(value: Json) -> str:
    return f"{_moment(value)}+00"


def _number(value: Json) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise MisfitError(_expected("a number", value))
    return Decimal(value)


def _expected(what: str, value: Json) -> str:
    return f"expected {what}, found {type(value).__name__}"
