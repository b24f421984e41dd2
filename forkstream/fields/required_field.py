"""A field of an event that has to have a value."""

from __future__ import annotations

import msgspec

from forkstream.errors import PermanentError
from forkstream.event import Event, Json
from forkstream.fields.field import Field


class RequiredField:
    """Reads what a :class:`Field` names, and refuses an event in which it is missing or null."""

    def __init__(self, path: str) -> None:
        """Read the path once; raises ValueError if it cannot be read or could find several values."""
        self._field = Field(path)

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys that lead to it through objects of the body alone; None for everything else."""
        return self._field.keys

    def __call__(self, event: Event) -> Json | bytes:
        """Look the value up; raises :class:`PermanentError` with the path in its detail if there is none."""
        value = self._field(event)
        if value is None or isinstance(value, msgspec.UnsetType):
            raise PermanentError("missing_path", f"there is no value at {self}")
        return value

    def __str__(self) -> str:
        return self._field.text
