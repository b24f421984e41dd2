"""One value of an event, named in a config: a column's, or a part of an object's key."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from forkstream.event import Event, Json
from forkstream.fields.paths import Index, Path

Found: TypeAlias = "Json | bytes | msgspec.UnsetType"
"""What stands at a field: UNSET where nothing does, bytes for a binary message attribute."""

_ATTRIBUTES = "attributes."
_WHOLE_BODY = "$"


class Field:
    """``customer.id`` and ``items[0].id`` stand in the body, ``attributes.amount`` is a message attribute, ``$`` is the whole body.

    A key ``attributes`` of the body itself is written in quotes: ``"attributes".x``.
    """

    def __init__(self, text: str) -> None:
        """Read the field once; raises ValueError for a path that cannot be read or that names more than one value."""
        self.text = text
        self._attribute = text.removeprefix(_ATTRIBUTES) if text.startswith(_ATTRIBUTES) else None
        self._steps = () if self._attribute is not None or text == _WHOLE_BODY else _literal_steps(text)

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys that lead to it through objects of the body alone; None for everything else."""
        keys = tuple(step for step in self._steps if isinstance(step, str))
        return keys if keys and len(keys) == len(self._steps) else None

    def __call__(self, event: Event) -> Found:
        """Look the value up; raises :class:`~forkstream.errors.UndecodableError` if the body has to be JSON and is not."""
        if self._attribute is not None:
            attribute = event.attributes.get(self._attribute)
            return msgspec.UNSET if attribute is None else attribute.value
        value = event.data
        for step in self._steps:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return msgspec.UNSET
                value = value[step]
            else:
                if not isinstance(value, list) or step >= len(value):
                    return msgspec.UNSET
                value = value[step]
        return value


def _literal_steps(text: str) -> tuple[str | int, ...]:
    path = Path.parse(text)
    if not path.is_literal:
        raise ValueError(f"path {text!r}: a * finds any number of values, and here one is needed")
    steps = (step.position if isinstance(step, Index) else step.literal for step in path.steps)
    return tuple(step for step in steps if step is not None)
