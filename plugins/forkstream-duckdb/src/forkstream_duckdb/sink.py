"""The ``duckdb`` sink: search documents as rows of one file, for analytics without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

import anyio.to_thread
import msgspec
from msgspec import Meta

from forkstream.errors import UndecodableError
from forkstream.event import Event, Failure, Target
from forkstream.ports import BatchDefaults, Context, EventSink
from forkstream.settings import Settings
from forkstream_duckdb.column import Column, ColumnSettings
from forkstream_duckdb.column_type import ColumnType, MisfitError
from forkstream_duckdb.table import Row, Table

_OWN = {"index": "VARCHAR", "id": "VARCHAR", "version": "BIGINT", "timestamp": "TIMESTAMP", "data": "JSON"}
"""The columns that every table has: the document's place and version, its time in UTC, and the whole of it."""
_TIMESTAMP = "@timestamp"


class DuckDBConfig(Settings):
    """The file, the table in it, and the columns that are worth a type."""

    path: Annotated[Path, Meta(description="the file; made if it is not there")]
    table: Annotated[str, Meta(description="the table; made if it is not there", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    columns: Annotated[
        dict[str, ColumnSettings],
        Meta(description=f"typed columns beside {', '.join(_OWN)}; a new one is added to an existing table"),
    ] = msgspec.field(default_factory=dict)


class DuckDBSink(EventSink[DuckDBConfig]):
    """Upserts each document by index and id; equal or newer by version wins.

    The ``index`` stage says which index, id and version a document has. A value that does not fit its column's type
    exactly fails that document alone.
    """

    single_process: ClassVar[bool] = True
    batch_defaults = BatchDefaults(max_events=10_000, max_bytes=5 * 2**20, max_age=2.0)

    def __init__(self, config: DuckDBConfig, context: Context) -> None:
        super().__init__(config, context)
        taken = [name for name in config.columns if name.lower() in _OWN]
        if taken:
            raise ValueError(f"columns: every table has {', '.join(_OWN)} of its own, found {', '.join(taken)} too")
        if len({name.lower() for name in config.columns}) < len(config.columns):
            raise ValueError("columns: DuckDB cannot tell names apart that differ only in case")
        columns = [Column(name, settings) for name, settings in config.columns.items()]
        self._time = ColumnType(_OWN["timestamp"])
        self._readers: list[tuple[str, Callable[[Event], str | None]]] = [
            ("timestamp", self._timestamp),
            ("data", _document),
            *((column.name, column.read) for column in columns),
        ]
        self._table = Table(config.path, config.table, _OWN | {column.name: column.type.name for column in columns})
        self._writing = threading.Lock()

    async def check(self) -> None:
        """See that the file and its table can be used, or be made."""
        await anyio.to_thread.run_sync(self._table.check)

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        """Write the documents in one transaction."""
        newest: dict[tuple[str, str], tuple[int | None, Row]] = {}
        failures: list[Failure] = []
        for event in events:
            target = event.target
            if target is None:
                failures.append(Failure.permanent(event, "no_target", "no `index` stage gave the event a target"))
                continue
            try:
                row = self._row(event, target)
            except UndecodableError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
            except MisfitError as error:
                failures.append(Failure.permanent(event, "column_value", str(error)))
            else:
                known, _ = newest.get((target.index, target.id), (None, ()))
                if known is None or target.version is None or target.version >= known:
                    newest[target.index, target.id] = target.version, row
        if newest:
            with self._writing:
                self._table.upsert([row for _, row in newest.values()])
        return failures

    def _row(self, event: Event, target: Target) -> Row:
        """Read an event's values; raises :class:`MisfitError` that names the first bad column."""
        values: list[str | None] = []
        for name, read in self._readers:
            try:
                values.append(read(event))
            except MisfitError as error:
                raise MisfitError(f"{name}: {error}") from None
        return (target.index, target.id, None if target.version is None else str(target.version), *values)

    def _timestamp(self, event: Event) -> str:
        data = event.data
        stamp = data.get(_TIMESTAMP) if isinstance(data, dict) else None
        return self._time.write(datetime.fromtimestamp(event.sent_at, UTC).isoformat() if stamp is None else stamp)


def _document(event: Event) -> str:
    return event.body.decode()
