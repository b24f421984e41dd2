"""One table of a DuckDB file: opened, brought up to date, written and closed within each write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import duckdb

from forkstream.errors import PermanentError, TransientError, UnavailableError

Row: TypeAlias = "Sequence[str | None]"
"""A row's values as text, in the order of the table's columns."""

KEY = ("index", "id")
VERSION = "version"


class Table:
    """A table with ``columns``, name to type, among them :data:`KEY` and :data:`VERSION`.

    DuckDB lets either one process write to a file or many read it, so the file is open only while a write lasts:
    readers get in between, and a write that meets a reader is told so by :class:`TransientError`.
    """

    def __init__(self, path: Path, name: str, columns: dict[str, str]) -> None:
        self.path = path
        self.name = name
        self.columns = columns

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write rows, no two of one key, in one transaction: equal or newer by version replaces, older is ignored."""
        with _translating(self.path), closing(duckdb.connect(self.path)) as connection:
            connection.begin()
            self._bring_up_to_date(connection)
            connection.execute(self._upsert_statement(), [list(values) for values in zip(*rows, strict=True)])
            connection.commit()

    def check(self) -> None:
        """See that a write could work, and change nothing; a file that is being read or written right now can."""
        if not self.path.exists():
            if not self.path.parent.is_dir():
                raise UnavailableError("missing", f"the directory {self.path.parent} is not there")
            return
        try:
            with _translating(self.path), closing(duckdb.connect(self.path, read_only=True)) as connection:
                self._missing(connection)
        except TransientError:
            return

    def _bring_up_to_date(self, connection: duckdb.DuckDBPyConnection) -> None:
        declared = ", ".join(f"{_quoted(name)} {type_}" for name, type_ in self.columns.items())
        key = ", ".join(map(_quoted, KEY))
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(self.name)} ({declared}, PRIMARY KEY ({key}))")
        for name in self._missing(connection):
            connection.execute(f"ALTER TABLE {_quoted(self.name)} ADD COLUMN {_quoted(name)} {self.columns[name]}")

    def _missing(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """Name the columns that an existing table lacks; one of another type cannot be mended from here."""
        select = "SELECT lower(column_name), data_type FROM duckdb_columns() WHERE lower(table_name) = lower(?)"
        found = dict(connection.execute(select, [self.name]).fetchall())
        for name, type_ in self.columns.items():
            stored = found.get(name.lower(), type_)
            if stored != type_:
                raise UnavailableError("column_type", f"{self.path}: {name} is {stored}, configured is {type_}")
        return [name for name in self.columns if name.lower() not in found]

    def _upsert_statement(self) -> str:
        table, version = _quoted(self.name), _quoted(VERSION)
        names = ", ".join(map(_quoted, self.columns))
        values = ", ".join(f"CAST({_quoted(name)} AS {type_})" for name, type_ in self.columns.items())
        given = ", ".join(f"unnest(${at}::VARCHAR[]) AS {_quoted(name)}" for at, name in enumerate(self.columns, 1))
        changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in self.columns if name not in KEY)
        return (
            f"INSERT INTO {table} ({names}) SELECT {values} FROM (SELECT {given}) "  # noqa: S608  # names, quoted
            f"ON CONFLICT ({', '.join(map(_quoted, KEY))}) DO UPDATE SET {changes} "
            f"WHERE excluded.{version} IS NULL OR {table}.{version} IS NULL OR excluded.{version} >= {table}.{version}"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into the three kinds. It has no code for a held lock, only the message."""
    try:
        yield
    except duckdb.ConnectionException as error:
        raise TransientError("locked", str(error)) from None
    except duckdb.TransactionException as error:
        raise TransientError("conflict", str(error)) from None
    except duckdb.IOException as error:
        if "Could not set lock" in str(error):
            raise TransientError("locked", str(error)) from None
        raise UnavailableError("unusable_file", f"{path}: {error}") from None
    except duckdb.DataError as error:
        raise PermanentError("rejected", str(error)) from None
    except duckdb.Error as error:
        raise UnavailableError("unusable_file", f"{path}: {type(error).__name__}") from None
