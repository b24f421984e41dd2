"""The SQL that brings rows into one table, each at its newest version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from forkstream_postgres.copy_text import lines

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

    Session: TypeAlias = Connection[Record] | PoolConnectionProxy[Record]

_STAGE, _PLACE = "forkstream_stage", "forkstream_place"
"""A temporary table of one transaction, and its column that says where in the batch a row stood."""


class Table:
    """Rows go by COPY into a temporary table of the same types, and from there, in one statement, into the table itself.

    So the newest row of each key is found with PostgreSQL's own comparison of the version's type. Keys are written in
    their order, for two batches never to wait for each other in a circle. All of it is one transaction, and needs no
    session beyond it, so that a pooler in transaction mode may stand before the server.
    """

    def __init__(self, name: str, columns: Sequence[str], *, key: Sequence[str], version: str | None) -> None:
        names, keys = _listed(columns), _listed(key)
        table = ".".join(map(_quoted, name.split(".")))
        self._staged = [*columns, _PLACE]
        self._create = (
            f"CREATE TEMP TABLE {_STAGE} ON COMMIT DROP AS "  # noqa: S608  # names, quoted
            f"SELECT {names}, 0 AS {_PLACE} FROM {table} WITH NO DATA"
        )
        newest = f"{_quoted(version)} DESC, " if version else ""
        self._upsert = (
            f"INSERT INTO {table} AS stored ({names}) "  # noqa: S608  # names, quoted
            f"SELECT DISTINCT ON ({keys}) {names} FROM pg_temp.{_STAGE} ORDER BY {keys}, {newest}{_PLACE} DESC "
            f"ON CONFLICT ({keys}) {_action([column for column in columns if column not in key], version)}"
        )

    async def upsert(self, session: Session, rows: Sequence[Sequence[str]]) -> None:
        """Write rows of cells (see :func:`~forkstream_postgres.copy_text.cell`) in the order of the columns."""
        async with session.transaction():
            await self._run(session, rows)

    async def try_out(self, session: Session) -> None:
        """Do all that a write does, without a row, and take it back: it asks for every right, column and constraint."""
        transaction = session.transaction()
        await transaction.start()
        try:
            await self._run(session, ())
        finally:
            await transaction.rollback()

    async def _run(self, session: Session, rows: Sequence[Sequence[str]]) -> None:
        await session.execute(self._create)
        data = lines([*row, str(place)] for place, row in enumerate(rows))
        await session.copy_to_table(
            _STAGE,
            schema_name="pg_temp",
            columns=self._staged,
            source=_whole(data),
            format="text",
            encoding="utf-8",
        )
        await session.execute(self._upsert)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    """Hand it over in one piece; bytes as such would be taken for a path."""
    yield data


def _action(others: Sequence[str], version: str | None) -> str:
    if not others:
        return "DO NOTHING"
    changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in others)
    if version is None:
        return f"DO UPDATE SET {changes}"
    newer = f"stored.{_quoted(version)} IS NULL OR excluded.{_quoted(version)} >= stored.{_quoted(version)}"
    return f"DO UPDATE SET {changes} WHERE {newer}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
