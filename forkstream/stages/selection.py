"""Which fields of an event's data go into a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from forkstream.event import Json
from forkstream.fields.paths import Index, Key, Path

_Steps: TypeAlias = tuple[str | Key | Index, ...]
"""A path, or what is left of it below the value at hand. A key without wildcards is its text, which compares faster."""


class Selection:
    """Keeps the fields at ``include``, or all if it is empty, without those at ``exclude``; the given data stays unchanged.

    The paths may have wildcards: ``items[*].price``. A path that finds nothing selects nothing.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = [_steps(path) for path in include]
        self._exclude = [_steps(path) for path in exclude]

    def __call__(self, data: dict[str, Json]) -> dict[str, Json]:
        """Give the selected fields; what was not cut is shared with ``data``."""
        if self._include:
            data = _only_members(data, self._include)
        for steps in self._exclude:
            data = _without_member(data, steps)
        return data


def _steps(path: str) -> _Steps:
    return tuple(
        step if not isinstance(step, Key) or step.literal is None else step.literal for step in Path.parse(path).steps
    )


def _only(value: Json, paths: list[_Steps]) -> Json:
    """Give what the paths select below a value; None if that is nothing."""
    if isinstance(value, dict):
        return _only_members(value, paths) or None
    if isinstance(value, list):
        return _only_elements(value, paths) or None
    return None


def _only_members(value: dict[str, Json], paths: list[_Steps]) -> dict[str, Json]:
    selected: dict[str, Json] = {}
    for key, child in value.items():
        below = [
            steps[1:] for steps in paths if steps[0] == key or (isinstance(steps[0], Key) and steps[0].matches(key))
        ]
        if () in below:
            selected[key] = child
        elif below and (part := _only(child, below)) is not None:
            selected[key] = part
    return selected


def _only_elements(value: list[Json], paths: list[_Steps]) -> list[Json]:
    selected: list[Json] = []
    for position, element in enumerate(value):
        below = [steps[1:] for steps in paths if isinstance(steps[0], Index) and steps[0].matches(position)]
        if () in below:
            selected.append(element)
        elif below and (part := _only(element, below)) is not None:
            selected.append(part)
    return selected


def _without(value: Json, steps: _Steps) -> Json:
    if isinstance(value, dict):
        return _without_member(value, steps)
    if isinstance(value, list) and isinstance(steps[0], Index):
        return _without_element(value, steps[0].matches, steps[1:])
    return value


def _without_member(value: dict[str, Json], steps: _Steps) -> dict[str, Json]:
    step, below = steps[0], steps[1:]
    if isinstance(step, str):
        keys = [step] if step in value else []
    else:
        keys = [key for key in value if isinstance(step, Key) and step.matches(key)]
    if not keys:
        return value
    if below:
        return value | {key: _without(value[key], below) for key in keys}
    return {key: child for key, child in value.items() if key not in keys}


def _without_element(value: list[Json], matches: Callable[[int], bool], below: _Steps) -> list[Json]:
    if below:
        return [_without(element, below) if matches(at) else element for at, element in enumerate(value)]
    return [element for at, element in enumerate(value) if not matches(at)]
