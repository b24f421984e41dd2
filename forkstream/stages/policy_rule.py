"""What one value of a filter policy says of one value of a message: SNS's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from ipaddress import ip_address, ip_network
from typing import TypeAlias, cast

Rule: TypeAlias = Callable[[object], bool]
"""Tells whether a scalar of a message (text, number, boolean or None) fits."""

MAX_NUMBER = 10**9
"""How far from 0 a number of a policy may be, see "Filter policy constraints in Amazon SNS"."""
_FIFTH_DIGIT = Decimal("0.00001")
"""The last digit after the point that SNS compares, see the same place."""
_SO_LARGE = Decimal(10) ** 30
_EXACT = Context(prec=60)
_NEGATABLE = ("prefix", "suffix", "wildcard", "equals-ignore-case")


def compile_rule(value: object) -> Rule:
    """Compile one element of a property's list, ``exists`` apart; raises ValueError that says what SNS would take."""
    if isinstance(value, dict):
        operator, operand = _only_member(value)
        if operator not in _OPERATORS:
            raise ValueError(f"no such operator: {operator}; known: exists, {', '.join(_OPERATORS)}")
        return _OPERATORS[operator](operand)
    if isinstance(value, list):
        raise ValueError("expected text, a number, true, false, null or an operator, found a list")  # noqa: TRY004  # a config error, of whatever kind
    wanted = _comparable(value)
    if isinstance(wanted, Decimal):
        _checked_number(value)
    return lambda found: _comparable(found) == wanted


def as_number(value: object) -> Decimal | None:
    """Give a number as SNS compares it, without what follows its fifth digit after the point; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    # a float can only come from a config, and its shortest text is what stood there
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number) >= _SO_LARGE:
        return number
    return number.quantize(_FIFTH_DIGIT, rounding=ROUND_DOWN, context=_EXACT)


def _comparable(value: object) -> object:
    number = as_number(value)
    if number is not None:
        return number
    return ("boolean", value) if isinstance(value, bool) else value  # True == 1, but not in JSON


def _checked_number(value: object) -> Decimal:
    number = as_number(value)
    if number is None:
        raise ValueError(f"expected a number, found {value!r}")
    if abs(number) > MAX_NUMBER:
        raise ValueError(f"{value}: SNS takes numbers from -10^9 to 10^9")
    if number != (Decimal(repr(value)) if isinstance(value, float) else value):
        raise ValueError(f"{value}: SNS takes five digits after the point")
    return number


def _only_member(value: dict[str, object]) -> tuple[str, object]:
    if len(value) != 1:
        raise ValueError(f"expected one operator, found {', '.join(value) or 'none'}")
    return next(iter(value.items()))


def _text(operator: str, operand: object) -> str:
    if not isinstance(operand, str):
        raise ValueError(f"{operator}: expected text, found {operand!r}")  # noqa: TRY004  # a config error, of whatever kind
    return operand


def _prefix(operand: object) -> Rule:
    prefix = _text("prefix", operand)
    return lambda found: isinstance(found, str) and found.startswith(prefix)


def _suffix(operand: object) -> Rule:
    suffix = _text("suffix", operand)
    return lambda found: isinstance(found, str) and found.endswith(suffix)


def _equals_ignore_case(operand: object) -> Rule:
    text = _text("equals-ignore-case", operand).casefold()
    return lambda found: isinstance(found, str) and found.casefold() == text


def _wildcard(operand: object) -> Rule:
    r"""Compile ``*``, which stands for any number of characters; ``\*`` and ``\\`` stand for themselves."""
    parts = wildcard_parts(_text("wildcard", operand))
    first, *middle, last = parts if len(parts) > 1 else [parts[0], ""]

    def fits(found: object) -> bool:
        if not isinstance(found, str):
            return False
        if len(parts) == 1:
            return found == first
        if not found.startswith(first) or len(found) < len(first) + len(last):
            return False
        # the leftmost place of each part leaves most to the next: no backtracking, however many stars
        place, end = len(first), len(found) - len(last)
        for part in middle:
            place = found.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return found.endswith(last)

    return fits


def wildcard_parts(pattern: str) -> list[str]:
    r"""Split a pattern at its stars; raises ValueError for two in a row or a backslash before anything but ``*`` and ``\``."""
    parts = [""]
    characters = iter(pattern)
    starred = False
    for character in characters:
        if character == "*":
            if starred:
                raise ValueError(f"wildcard {pattern!r}: two stars in a row are one too many")
            parts.append("")
        elif character == "\\":
            literal = next(characters, "")
            if literal not in ("*", "\\"):
                raise ValueError(f"wildcard {pattern!r}: a backslash stands before * or another backslash only")
            parts[-1] += literal
        else:
            parts[-1] += character
        starred = character == "*"
    return parts


def _cidr(operand: object) -> Rule:
    text = _text("cidr", operand)
    if "/" not in text:
        raise ValueError(f"cidr: expected an address range such as 10.0.0.0/24, found {text!r}")
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"cidr: {error}") from None

    def fits(found: object) -> bool:
        try:
            return isinstance(found, str) and ip_address(found) in network
        except ValueError:
            return False

    return fits


def _numeric(operand: object) -> Rule:
    """Compile ``["=", 5]``, one bound, or a lower and an upper one in this order, as SNS demands it."""
    terms = operand if isinstance(operand, list) else []
    pairs = list(zip(terms[::2], terms[1::2], strict=False))
    operators = [operator for operator, _ in pairs]
    ranged = len(pairs) == 2 and operators[0] in (">", ">=") and operators[1] in ("<", "<=")
    single = len(pairs) == 1 and operators[0] in ("=", "<", "<=", ">", ">=")
    if len(terms) % 2 or not (single or ranged):
        raise ValueError(f'numeric: expected such as ["=", 5], [">", 5] or [">=", 5, "<", 9], found {operand!r}')
    bounds = [(cast("str", operator), _checked_number(limit)) for operator, limit in pairs]
    if ranged and bounds[0][1] >= bounds[1][1]:
        raise ValueError(f"numeric: the lower bound has to be less than the upper one, found {operand!r}")

    def fits(found: object) -> bool:
        number = as_number(found)
        return number is not None and all(_COMPARISONS[operator](number, limit) for operator, limit in bounds)

    return fits


def _anything_but(operand: object) -> Rule:
    """Compile a value, a list of values, or a prefix, suffix, wildcard or equals-ignore-case, or a list of operands of one."""
    if isinstance(operand, dict):
        operator, refused = _only_member(operand)
        if operator not in _NEGATABLE:
            raise ValueError(f"anything-but: expected one of {', '.join(_NEGATABLE)}, found {operator}")
        rules = [_OPERATORS[operator](each) for each in _listed(refused)]
    else:
        rules = []
        for value in _listed(operand):
            if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
                raise ValueError(f"anything-but: expected text or a number, found {value!r}")  # noqa: TRY004  # a config error, of whatever kind
            rules.append(compile_rule(value))
    return lambda found: not any(rule(found) for rule in rules)


def _listed(operand: object) -> Sequence[object]:
    values = operand if isinstance(operand, list) else [operand]
    if not values:
        raise ValueError("anything-but: expected at least one value, found an empty list")
    return values


_OPERATORS: dict[str, Callable[[object], Rule]] = {
    "anything-but": _anything_but,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "equals-ignore-case": _equals_ignore_case,
    "numeric": _numeric,
    "cidr": _cidr,
}
_COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": lambda found, limit: found == limit,
    "<": lambda found, limit: found < limit,
    "<=": lambda found, limit: found <= limit,
    ">": lambda found, limit: found > limit,
    ">=": lambda found, limit: found >= limit,
}
OPERATORS = frozenset({*_OPERATORS, "exists"})
"""Names that only mean an operator, never a property below ``$or``."""
