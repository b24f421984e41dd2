"""Values in the text format of COPY, see "File Formats" in PostgreSQL's documentation of COPY."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from forkstream.errors import PermanentError
from forkstream.event import Json, encode_json

NULL = "\\N"
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def cell(value: Json | bytes) -> str:
    """Write one value, for PostgreSQL to read as its column's type: an object or array as JSON, bytes as bytea.

    Raises PermanentError for a text that no column can hold.
    """
    match value:
        case None:
            return NULL
        case bool():
            return "t" if value else "f"
        case int() | Decimal():
            return str(value)
        case str():
            text = value
        case bytes():
            return f"\\\\x{value.hex()}"
        case _:
            text = encode_json(value).decode()
    if "\0" in text:
        raise PermanentError("nul_character", "PostgreSQL holds no text with the character U+0000 in it")
    return text.translate(_ESCAPED)


def lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Join cells into the bytes of a COPY."""
    return "".join("\t".join(row) + "\n" for row in rows).encode()
