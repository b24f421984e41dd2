"""All columns of a table, filled from one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from forkstream.event import Event
from forkstream.fields.shallow import Shallow
from forkstream.sinks.column import Column
from forkstream.sinks.item import Row


class Columns:
    """Makes a row of an event. Where all of the columns stand in objects of the body, nothing else of it is decoded."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._names = [column.name for column in columns]
        self._typed = [
            (place, column.name, column.cell) for place, column in enumerate(columns) if column.type != "any"
        ]
        paths = [column.keys for column in columns]
        try:
            self._shallow = Shallow([path for path in paths if path is not None]) if all(paths) else None
        except ValueError:  # one column is a part of another's value
            self._shallow = None

    def __call__(self, event: Event) -> Row:
        """Read every column; raises :class:`~forkstream.errors.PermanentError` for a value that is not of its column's type."""
        values = None if self._shallow is None else self._shallow.read(event.body)
        if values is None:
            read = [(column.name, column(event)) for column in self._columns]
            return {name: cell for name, cell in read if not isinstance(cell, UnsetType)}
        # measured, µs of six columns, two with a type: 0.6 put in all at once and those two again, 1.2 one after the other
        row: dict[str, Any] = dict(zip(self._names, values))  # noqa: B905  # a place a path; to say so costs 0.1 µs
        for place, name, convert in self._typed:
            cell = convert(values[place])
            if cell is UNSET:
                del row[name]
            else:
                row[name] = cell
        return row
