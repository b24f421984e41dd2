"""What one scalar of a config means for the type of its setting. The type decides, so ``no`` is a text where text is due."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import NoneType
from typing import Any

from forkstream.config.hint import Hint
from forkstream.config.tree import Scalar

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")  # 010 is 8 to one YAML reader and 10 to the next: neither here
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LARGEST = 2**63 - 1
"""What services and formats take for a whole number; beyond it Python would count on, and fail elsewhere."""
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class MisfitError(Exception):
    """A value is not of its setting's type."""


def convert(hint: Hint, scalar: Scalar) -> Any:
    """Read a scalar as one type that is no union; raises :class:`MisfitError`."""
    if hint.free:
        return _free(scalar, float if hint.core in (Any, object) else Decimal)
    if scalar.nothing != (hint.core is NoneType):
        raise MisfitError
    if hint.choices is not None:
        return _from(hint.choices, scalar.text)
    if scalar.plain and hint.core in (bool, int, float, Decimal):
        return _from(_BOOLEANS, scalar.text.lower()) if hint.core is bool else _number(hint.core, scalar.text)
    try:
        return _text(hint, scalar.text)
    except ValueError:
        raise MisfitError from None


def found(scalar: Scalar) -> str:
    """What was found, in words."""
    if scalar.nothing:
        return f"nothing ({scalar.written} is empty)" if scalar.written else "nothing"
    if scalar.secret:
        return f"******** ({scalar.written})"
    text = scalar.text if len(scalar.text) <= 60 else f"{scalar.text[:57]}…"
    if not scalar.plain:
        return f'"{text}" in quotes'
    return f"{text} ({scalar.written})" if scalar.written else text


def rank(hint: Hint) -> int:
    """In which order the options of a union are tried: the narrowest first, text last."""
    order = (NoneType, bool, int, Decimal, float)
    if hint.core in order:
        return order.index(hint.core)
    return len(order) + (1 if hint.core is str or hint.free else 0)


def _from(choices: dict[str, Any], text: str) -> Any:
    if text not in choices:
        raise MisfitError
    return choices[text]


def _text(hint: Hint, text: str) -> Any:
    """What a text is made into; raises ValueError if it cannot be."""
    if hint.quantity:
        return hint.quantity.parse(text)
    if hint.core is NoneType:
        return None
    if hint.core is Path or (isinstance(hint.core, type) and issubclass(hint.core, str)):
        return hint.core(text)
    raise ValueError


def _number(type_: Any, text: str) -> Any:
    if not (_WHOLE if type_ is int else _NUMBER).fullmatch(text):
        raise MisfitError
    text = text.replace("_", "")
    value: Any = _whole(text) if type_ is int else _fraction(type_, text)
    if abs(value) > _LARGEST if type_ is int else not math.isfinite(value):
        raise MisfitError
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # more digits than Python reads
        raise MisfitError from None


def _fraction(type_: type[float | Decimal], text: str) -> float | Decimal:
    try:
        return type_(text)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        raise MisfitError from None


def _free(scalar: Scalar, fraction: type[float | Decimal]) -> Any:
    """Read a scalar where anything may stand, as YAML 1.2's core schema does: ``true`` and ``false`` are the only booleans."""
    if not scalar.plain:
        return scalar.text
    if scalar.nothing:
        return None
    if scalar.text.lower() in ("true", "false"):
        return scalar.text.lower() == "true"
    if _WHOLE.fullmatch(scalar.text) and "_" not in scalar.text:
        return _whole(scalar.text)
    if _NUMBER.fullmatch(scalar.text) and "_" not in scalar.text:
        return _fraction(fraction, scalar.text)
    return scalar.text
