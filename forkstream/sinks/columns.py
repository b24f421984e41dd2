"""All columns of a table, filled from one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from forkstream.event import Event
from forkstream.fields.shallow import Shallow
from forkstream.sinks.column import Column
from forkstream.sinks.item import Cell, Row


class Columns:
    """Makes a row of an event. Where all of the columns stand in objects of the body, nothing else of it is decoded."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._plan = [(column.name, column.type == "any", column) for column in columns]
        paths = [column.keys for column in columns]
        try:
            self._shallow = Shallow([path for path in paths if path is not None]) if all(paths) else None
        except ValueError:  # one column is a part of another's value
            self._shallow = None

    def __call__(self, event: Event) -> Row:
        """Read every column; raises :class:`~forkstream.errors.PermanentError` for a value that is not of its column's type."""
        values = None if self._shallow is None else self._shallow(event.body)
        row: dict[str, Cell] = {}
        if values is None:
            for column in self._columns:
                cell = column(event)
                if cell is not msgspec.UNSET:
                    row[column.name] = cell
            return row
        for (name, as_it_is, column), found in zip(self._plan, values, strict=True):
            if as_it_is:
                row[name] = cast("Cell", found)
            elif (cell := column.cell(found)) is not msgspec.UNSET:
                row[name] = cell
        return row
