"""The sink ``postgres``: events as rows of a table, the newest version of each key."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Annotated, Self

import asyncpg
import msgspec
from msgspec import Meta

from forkstream.errors import PermanentError
from forkstream.event import Event, Failure
from forkstream.fields.field import Field
from forkstream.fields.required_field import RequiredField
from forkstream.ports import BatchDefaults, Context, EventSink
from forkstream.settings import Duration, Secret, Settings
from forkstream_postgres.copy_text import NULL, cell
from forkstream_postgres.table import Table
from forkstream_postgres.translating import translating

_SCHEMES = ("postgresql://", "postgres://")
_CLOSING = 1.0
"""Seconds that connections have to say goodbye, of the two that a drain leaves."""


class PostgresConfig(Settings):
    """Which table, what of an event is in which column, and what makes a row newer than another."""

    dsn: Annotated[
        Secret,
        Meta(
            description="postgresql://user@host:5432/database?sslmode=verify-full; what it leaves out comes from PGPASSWORD, "
            "PGPASSFILE, PGHOST and the like",
            min_length=1,
        ),
    ]
    table: Annotated[
        str,
        Meta(description="the table, with its schema if that is not on the search path", pattern=r"^[^.]+(\.[^.]+)?$"),
    ]
    columns: Annotated[
        dict[str, str],
        Meta(
            description="columns by name and what stands in them: payment.amount, items[0].id, attributes.amount, or $ for "
            "the whole body",
            min_length=1,
        ),
    ]
    key: Annotated[
        list[str], Meta(description="the columns of a primary key or unique index, all of them filled", min_length=1)
    ]
    version: Annotated[
        str | None,
        Meta(
            description="the column by which a row is newer than another, in the order of its type; left out, the last "
            "written stands"
        ),
    ] = None
    connections: Annotated[int, Meta(description="connections at most, one for each write under way", ge=1)] = 4
    connect_timeout: Annotated[Duration, Meta(description="how long to wait for a connection", gt=0)] = Duration(10)


class PostgresSink(EventSink[PostgresConfig]):
    """Upserts events by key: equal or newer by version replaces, so a repeat, in whatever order, changes nothing.

    A batch is one transaction: COPY into a temporary table, and one statement from there. Needs SELECT, INSERT and
    UPDATE on the table and TEMPORARY on the database. A value that PostgreSQL cannot read as its column's type, or that a
    constraint refuses, is the event's own failure.
    """

    ports_version = 1
    ordered = True
    batch_defaults = BatchDefaults(max_events=5_000, max_bytes=4 * 2**20, max_age=1.0)

    def __init__(self, config: PostgresConfig, context: Context) -> None:
        super().__init__(config, context)
        if not config.dsn.startswith(_SCHEMES):
            raise ValueError(f"dsn: expected a URL that begins with {_SCHEMES[0]}")  # what was found may be a password
        strangers = [name for name in [*config.key, *filter(None, [config.version])] if name not in config.columns]
        if strangers:
            raise ValueError(
                f"key and version are columns: {', '.join(strangers)} not among {', '.join(config.columns)}"
            )
        if config.version in config.key:
            raise ValueError(f"version: {config.version} is part of the key, so no two versions would meet")
        needed = {*config.key, config.version}
        self._fields = [RequiredField(path) if name in needed else Field(path) for name, path in config.columns.items()]
        self._table = Table(config.table, list(config.columns), key=config.key, version=config.version)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None  # open between enter and exit

    async def __aenter__(self) -> Self:
        await self.check()
        # connections are made as writes need them
        self._pool = asyncpg.create_pool(
            self.config.dsn, min_size=0, max_size=self.config.connections, timeout=self.config.connect_timeout
        )
        with translating(self.config.table):
            await self._pool
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _CLOSING)
        except TimeoutError:
            pool.terminate()

    async def check(self) -> None:
        """Make a write without a row and take it back: the server, the rights, the columns and the key are all asked for."""
        with translating(self.config.table):
            session = await asyncpg.connect(self.config.dsn, timeout=self.config.connect_timeout)
            try:
                await self._table.try_out(session)
            finally:
                await session.close(timeout=_CLOSING)

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        """Write the events' rows in one transaction; one that makes no row fails alone, and keeps its group behind it."""
        rows: list[list[str]] = []
        failures: list[Failure] = []
        behind: set[str] = set()
        for event in events:
            if event.group in behind:
                failures.append(Failure.transient(event, "behind_failed"))
                continue
            try:
                rows.append(self._row(event))
            except PermanentError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
                behind.update([] if event.group is None else [event.group])
        if rows and self._pool is not None:
            with translating(self.config.table):
                async with self._pool.acquire() as session:
                    await self._table.upsert(session, rows)
        return failures

    def _row(self, event: Event) -> list[str]:
        row: list[str] = []
        for field in self._fields:
            value = field(event)
            row.append(NULL if isinstance(value, msgspec.UnsetType) else cell(value))
        return row
