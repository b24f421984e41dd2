"""Subscription filter policies of SNS, compiled once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypeGuard

import msgspec

from forkstream.stages.policy_rule import OPERATORS, Rule, compile_rule

MAX_BYTES = 256 * 1024
MAX_COMBINATIONS = 150
MAX_KEYS = 5
"""For these three see "Filter policy constraints in Amazon SNS"."""
_OR = "$or"
_encode = msgspec.json.Encoder(decimal_format="number").encode

_Test: TypeAlias = Callable[[Mapping[str, object]], bool]


class FilterPolicy:
    """Tells whether a message fits a filter policy, as "Amazon SNS subscription filter policies" describes it.

    Every property has to fit, by at least one value of its list; of a property that is a list, at least one element
    has to. Of a list of objects, one and the same element has to fit all that is said below its property.

    What SNS leaves open: numbers that are written differently (100, 1e2, 100.0) are equal to every operator, and
    numbers of a message may be larger than those of a policy; digits behind the fifth do not count.
    """

    def __init__(self, policy: Mapping[str, object], *, nested: bool) -> None:
        """Compile; raises ValueError that names each property SNS would refuse. ``nested`` properties exist in bodies only."""
        if len(policy) > MAX_KEYS:
            raise ValueError(f"policy: SNS takes {MAX_KEYS} keys, found {len(policy)}")
        if len(_encode(policy)) > MAX_BYTES:
            raise ValueError(f"policy: SNS takes {MAX_BYTES} bytes")
        self._fits = _compiled(policy, "policy", nested=nested)
        combinations = _combinations(policy)
        if combinations > MAX_COMBINATIONS:
            raise ValueError(
                f"policy: too complex: SNS takes {MAX_COMBINATIONS} combinations, found {combinations} (the numbers of"
                " values multiplied, each by how deep it stands; those of $or's alternatives added)"
            )

    def __call__(self, message: Mapping[str, object]) -> bool:
        """Tell whether a message fits, by its decoded body or by its attributes' values."""
        return self._fits(message)


def _compiled(policy: Mapping[str, object], place: str, *, nested: bool) -> _Test:
    tests: list[_Test] = []
    for name, value in policy.items():
        where = f"{place}.{name}"
        if name == _OR and _is_alternatives(value):
            options = [_compiled(each, f"{where}[{n}]", nested=nested) for n, each in enumerate(value)]
            tests.append(partial(_any_fits, options))
        elif isinstance(value, dict):
            if not nested:
                raise ValueError(f"{where}: attributes are flat: expected a list of values, found a mapping")
            tests.append(partial(_fits_below, name, _compiled(value, where, nested=nested)))
        elif isinstance(value, list):
            tests.append(_Property(name, value, where))
        else:
            raise ValueError(f"{where}: expected a list of values{' or a mapping' if nested else ''}, found {value!r}")
    if not tests:
        raise ValueError(f"{place}: is empty")
    return lambda message: all(test(message) for test in tests)


class _Property:
    """One property and the values that it may have."""

    def __init__(self, name: str, values: list[object], place: str) -> None:
        self._name = name
        self._rules: list[Rule] = []
        self._presence: set[bool] = set()
        if not values:
            raise ValueError(f"{place}: expected at least one value, found an empty list")
        for number, value in enumerate(values):
            try:
                if isinstance(value, dict) and list(value) == ["exists"]:
                    self._presence.add(_exists(value["exists"]))
                else:
                    self._rules.append(compile_rule(value))
            except ValueError as error:
                raise ValueError(f"{place}[{number}]: {error}") from None

    def __call__(self, message: Mapping[str, object]) -> bool:
        # an object is no value, so it does not exist either; see "Key matching"
        values = (
            [each for each in _elements(message[self._name]) if not isinstance(each, dict)]
            if (self._name in message)
            else []
        )
        return bool(values) in self._presence or any(rule(value) for value in values for rule in self._rules)


def _exists(operand: object) -> bool:
    if not isinstance(operand, bool):
        raise ValueError(f"exists: expected true or false, found {operand!r}")  # noqa: TRY004  # a config error, of whatever kind
    return operand


def _any_fits(options: list[_Test], message: Mapping[str, object]) -> bool:
    return any(option(message) for option in options)


def _fits_below(name: str, test: _Test, message: Mapping[str, object]) -> bool:
    objects = [each for each in _elements(message.get(name)) if isinstance(each, dict)]
    return any(test(each) for each in objects or [{}])  # of what is not there, `exists: false` is true


def _elements(value: object) -> Iterator[object]:
    """Give a value, or the elements of a list and of the lists in it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += reversed(each)
        else:
            yield each


def _is_alternatives(value: object) -> TypeGuard[list[dict[str, object]]]:
    """Tell whether ``$or`` is the operator: else it is a property that is called so, see "OR operator"."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(each, dict) and not OPERATORS.intersection(each) for each in value)
    )


def _combinations(policy: Mapping[str, object], depth: int = 1) -> int:
    return math.prod(_combinations_of(name, value, depth) for name, value in policy.items())


def _combinations_of(name: str, value: object, depth: int) -> int:
    if name == _OR and _is_alternatives(value):
        return sum(_combinations(each, depth) for each in value)
    if isinstance(value, dict):
        return _combinations(value, depth + 1)
    return len(value) * depth if isinstance(value, list) else 1
