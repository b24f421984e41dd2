"""A declared column: what it is called, where its value stands in the document, and its type."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from forkstream.event import Event
from forkstream.fields.field import Field
from forkstream.settings import Settings
from forkstream_duckdb.column_type import TYPES, ColumnType, MisfitError


class ColumnSettings(Settings):
    """A column of the table: ``amount: {path: payment.amount, type: "DECIMAL(12,2)"}``."""

    path: Annotated[str, Meta(description="where the value stands: payment.amount, items[0].id, attributes.amount")]
    type: Annotated[str, Meta(description=f"its type in DuckDB: {TYPES}")]


class Column:
    """A column that knows how to take its value from an event."""

    def __init__(self, name: str, settings: ColumnSettings) -> None:
        """Read path and type; raises ValueError that names the column."""
        try:
            self._field = Field(settings.path)
            self.type = ColumnType(settings.type)
        except ValueError as error:
            raise ValueError(f"columns.{name}: {error}") from None
        self.name = name

    def read(self, event: Event) -> str | None:
        """Give the event's value as text that casts to the type exactly, None for null and for what is not there.

        Raises :class:`MisfitError` for a value that the type cannot take as it is.
        """
        value = self._field(event)
        if value is None or value is msgspec.UNSET:
            return None
        if isinstance(value, bytes):
            raise MisfitError("expected text, found bytes")
        return self.type.write(value)
