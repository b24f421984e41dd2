"""One column of a table, filled from a field of each event."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from forkstream.errors import PermanentError
from forkstream.event import Event, encode_json
from forkstream.fields.field import Field, Found
from forkstream.fields.moment import epoch_milliseconds, read_moment
from forkstream.settings import Settings
from forkstream.sinks.item import Cell


class ColumnSettings(Settings):
    """Where a column's value stands in the event, and as what it is stored."""

    path: Annotated[
        str, Meta(description="customer.id or items[0].id in the body, attributes.kind, or $ for the whole body")
    ]
    type: Annotated[
        Literal["any", "S", "N", "B", "BOOL", "json", "time"],
        Meta(
            description="any: as the event has it; S: text, also of a number; N: a number, also from text; B: a binary "
            "attribute; BOOL: true or false; json: any value as JSON text; time: an ISO 8601 time with its offset, or an "
            "epoch, as the number of milliseconds since 1970, which sorts by age"
        ),
    ] = "any"


class Column:
    """Reads one column's value: UNSET where the event has none, or null for a column that demands a type."""

    def __init__(self, name: str, settings: ColumnSettings) -> None:
        """Raises ValueError for a path that cannot be read."""
        self.name = name
        self.type = settings.type
        self._field = Field(settings.path)

    def __call__(self, event: Event) -> Cell | msgspec.UnsetType:
        """Read it; raises :class:`PermanentError` with the column in its detail if the value is not of the column's type."""
        return self.cell(self._field(event))

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys that lead to it through objects of the body alone; None for everything else."""
        return self._field.keys

    def cell(self, found: Found) -> Cell | msgspec.UnsetType:
        """Turn what was found in the event into the column's value; raises as reading it does."""
        if self.type == "S":  # most of them
            if type(found) is str:
                return found
            if type(found) is int:
                return str(found)
        if found is msgspec.UNSET or (found is None and self.type not in ("any", "json")):
            return msgspec.UNSET
        if self.type == "any":
            return cast("Cell", found)  # a float in it, which no JSON decodes to, is refused with the row
        cell = self._converted(found)
        if cell is None:
            raise PermanentError("column_type", f"{self.name}: {found!r:.100} is no {self.type}")
        return cell

    def _converted(self, found: Found) -> str | int | Decimal | bytes | None:  # noqa: PLR0911  # one for each type
        """Give the value in the column's type, None if it has no place there."""
        match self.type, found:
            case "S", str() | bool() | int() | Decimal():
                return found if isinstance(found, str) else encode_json(found).decode()
            case "N", str() | int() | Decimal() if not isinstance(found, bool):
                return _number(found)
            case "B", bytes():
                return found
            case "BOOL", bool():
                return found
            case "json", _ if not isinstance(found, bytes | msgspec.UnsetType):
                return encode_json(found).decode()
            case "time", str() | int() | Decimal():
                return _milliseconds(found)
        return None


def _number(text: str | int | Decimal) -> int | Decimal | None:
    try:
        return Decimal(text) if isinstance(text, str) else text
    except InvalidOperation:
        return None


def _milliseconds(moment: str | int | Decimal) -> int | None:
    try:
        return epoch_milliseconds(read_moment(moment))
    except ValueError:
        return None
