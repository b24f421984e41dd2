"""A row of a DynamoDB table, and its exact form on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from forkstream.aws.table import Item
from forkstream.errors import PermanentError

Cell: TypeAlias = "str | int | Decimal | bool | bytes | Sequence[Cell] | Mapping[str, Cell] | None"
"""A value of a row. A float is refused: it has no exact decimal form, and DynamoDB's numbers are decimal."""

Row: TypeAlias = Mapping[str, Cell]
"""A row by column name. A column that is left out is not stored; None is stored as DynamoDB's NULL."""

KeyType: TypeAlias = Literal["S", "N", "B"]
"""The types a key column can have (see AttributeDefinition in DynamoDB's reference)."""

MAX_DIGITS = 38
"""Significant digits of a number, see "Naming rules and data types" in DynamoDB's developer guide."""
_EXPONENTS = range(-130, 126)
"""Numbers go from 1E-130 to 9.99…E+125, same source."""

_NUMBERS = (int, Decimal)
_SHORT = -(10**MAX_DIGITS), 10**MAX_DIGITS
"""Between these every whole number has digits enough."""


def to_item(row: Row) -> Item:
    """Put a row into its form on the wire; raises :class:`PermanentError` that names the column in its detail."""
    item = {}
    for column, cell in row.items():
        # measured, µs a row of six columns: 1.2 with the common types told here, 1.6 with a call for each number
        kind = type(cell)
        if kind is str:
            item[column] = {"S": cell}
        elif isinstance(cell, _NUMBERS) and kind is not bool:
            item[column] = {"N": exact_number(cell, column)}
        else:
            item[column] = to_attribute_value(cell, column)
    return item


def to_attribute_value(cell: Cell, column: str) -> dict[str, Any]:  # noqa: PLR0911  # one for each type
    """Put one value under its type; ``column`` is where it stands, for the detail of a refusal."""
    match cell:
        case bool():
            return {"BOOL": cell}
        case str():
            return {"S": cell}
        case int() | Decimal():
            return {"N": exact_number(cell, column)}
        case bytes():
            return {"B": cell}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {str(name): to_attribute_value(inner, f"{column}.{name}") for name, inner in cell.items()}}
        case Sequence():
            return {"L": [to_attribute_value(inner, f"{column}[{at}]") for at, inner in enumerate(cell)]}
    raise PermanentError("column_type", f"{column}: {type(cell).__name__} has no exact form in DynamoDB")


def exact_number(number: int | Decimal, column: str) -> str:
    """Write a number with all its digits; raises :class:`PermanentError` where DynamoDB would have to round it."""
    if type(number) is int and _SHORT[0] < number < _SHORT[1]:
        return str(number)
    exact = number if type(number) is Decimal else Decimal(number)  # of an int: exact, however long
    text = str(exact)
    if len(text) <= MAX_DIGITS and "E" not in text and exact.is_finite():  # so short a number has no digit too many
        return text if exact else "0"
    if not exact.is_finite():
        raise PermanentError("number_not_finite", f"{column}: {exact}")
    digits = "".join(map(str, exact.as_tuple().digits)).strip("0")
    if len(digits) > MAX_DIGITS:
        raise PermanentError(
            "number_too_long", f"{column}: {len(digits)} significant digits, DynamoDB keeps {MAX_DIGITS}"
        )
    if digits and exact.adjusted() not in _EXPONENTS:
        raise PermanentError("number_out_of_range", f"{column}: 1E{exact.adjusted():+d} is beyond DynamoDB's numbers")
    return text if digits else "0"


def identity(item: Item, key: Mapping[str, KeyType]) -> tuple[Any, ...]:
    """Give what makes two items of one table the same row: the key's values, numbers by value (1 and 1.0 are one key).

    Raises :class:`PermanentError` where a key column is missing, empty or of another type than the table's.
    """
    values: list[Any] = []
    for column, type_ in key.items():
        try:
            value = item[column][type_]
        except KeyError:
            value = None
        if not value:
            raise _no_key(column, type_, item.get(column))
        values.append(Decimal(value) if type_ == "N" else value)
    return tuple(values)


def _no_key(column: str, type_: KeyType, found: Mapping[str, Any] | None) -> PermanentError:
    if found is None:
        return PermanentError("key_missing", f"{column} is part of the key and missing")
    if type_ not in found:
        return PermanentError("key_type", f"{column} is part of the key and of type {next(iter(found))}, not {type_}")
    return PermanentError("key_empty", f"{column} is part of the key and empty")
