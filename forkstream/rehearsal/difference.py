"""Differences between what was due and what came, each at its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from forkstream.event import encode_json
from forkstream.fields.paths import Index, Key, Step

NOTHING = "nothing"


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it should be: where, such as ``documents[0].data.payment.amount``, and both sides as text."""

    where: str
    expected: str
    found: str


def compare(where: str, expected: Any, found: Any, *, whole: bool = True) -> Iterator[Difference]:
    """Compare JSON value by value; without ``whole``, objects may have fields that are not expected."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in [*expected, *(name for name in found if whole and name not in expected)]:
            at = f"{where}.{name}"
            if name not in found:
                yield Difference(at, shown(expected[name]), NOTHING)
            elif name not in expected:
                yield Difference(at, NOTHING, shown(found[name]))
            else:
                yield from compare(at, expected[name], found[name], whole=whole)
    elif isinstance(expected, list) and isinstance(found, list):
        yield from count(where, expected, found)
        for number, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from compare(f"{where}[{number}]", one, other, whole=whole)
    elif not _same(expected, found):
        yield Difference(where, shown(expected), shown(found))


def count(where: str, expected: Sequence[Any], found: Sequence[Any]) -> Iterator[Difference]:
    """Compare how many there are."""
    if len(expected) != len(found):
        yield Difference(where, f"{len(expected)} of them", f"{len(found)}")


def shown(value: Any) -> str:
    """Show a value as JSON."""
    return encode_json(value).decode()


def values_at(value: Any, steps: Sequence[Step], where: str = "") -> Iterator[tuple[str, Any]]:
    """Find what a path leads to, each with its own place."""
    if not steps:
        yield where, value
        return
    step, *rest = steps
    if isinstance(step, Key) and isinstance(value, dict):
        for name, inner in value.items():
            if step.matches(name):
                yield from values_at(inner, rest, f"{where}.{name}")
    if isinstance(step, Index) and isinstance(value, list):
        for number, inner in enumerate(value):
            if step.matches(number):
                yield from values_at(inner, rest, f"{where}[{number}]")


def _same(expected: Any, found: Any) -> bool:
    """Numbers are the same whatever their digits; true is no 1."""
    numbers = (int, float, Decimal)
    if isinstance(expected, bool) or isinstance(found, bool) or not isinstance(expected, numbers):
        return type(expected) is type(found) and bool(expected == found)
    return isinstance(found, numbers) and bool(expected == found)
