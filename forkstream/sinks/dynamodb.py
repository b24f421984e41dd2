"""A sink that writes each event as a row of a DynamoDB table, its columns filled by paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Annotated, Literal, Self

from msgspec import Meta

from forkstream.aws.open_queue import Client
from forkstream.errors import PermanentError
from forkstream.event import Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink, Load, Permission
from forkstream.settings import AwsSettings, Settings
from forkstream.sinks.column import Column, ColumnSettings
from forkstream.sinks.columns import Columns
from forkstream.sinks.item import KeyType
from forkstream.sinks.rows import Row, TableWriter

_KEY_TYPES: dict[str, KeyType] = {"S": "S", "N": "N", "B": "B", "json": "S", "time": "N"}


class DynamoDBConfig(Settings):
    """The table, and how an event becomes a row of it."""

    table: Annotated[str, Meta(description="the table's name or ARN", min_length=1)]
    columns: Annotated[
        dict[str, str | ColumnSettings],
        Meta(description="the row: a path into the event, or {path: …, type: …}, by column name", min_length=1),
    ]
    key: Annotated[
        list[str],
        Meta(description="the columns of the table's key, the partition key first", min_length=1, max_length=2),
    ]
    version: Annotated[
        str | None,
        Meta(
            description="the column, a number or text that sorts by age, that tells which of two rows with one key is newer: "
            "an older event then changes nothing, whenever it comes"
        ),
    ] = None
    mode: Annotated[
        Literal["conditional", "batch"],
        Meta(
            description="conditional: a PutItem for each row, compared by version; batch: BatchWriteItem, 25 rows a request, "
            "the last written stands: only where the key holds the event's identity, so that no other event has that row"
        ),
    ] = "conditional"
    client: Annotated[
        Client,
        Meta(description="the wire: forkstream's own, or aioboto3, which costs more CPU and can use a proxy"),
    ] = "native"
    at_once: Annotated[int, Meta(description="requests of one write under way at once", ge=1)] = 16
    aws: AwsSettings = AwsSettings()


class DynamoDBSink(EventSink[DynamoDBConfig]):
    """Writes events as rows: idempotent by key, and by version where one is named. A row is a pure function of its event.

    It needs dynamodb:PutItem, or dynamodb:BatchWriteItem in mode batch, and uses dynamodb:DescribeTable to explain itself.
    """

    batch_defaults = BatchDefaults(max_events=500, max_bytes=2**20, max_age=1.0)

    def __init__(self, config: DynamoDBConfig, context: Context) -> None:
        super().__init__(config, context)
        if (config.version is None) == (config.mode == "conditional"):
            raise ValueError(
                "version and mode do not fit: name a version (mode conditional) so that a newer row wins, or say "
                "mode: batch and no version if the key holds the event's identity"
            )
        self.ordered = config.version is not None
        columns = [
            Column(name, ColumnSettings(path=column) if isinstance(column, str) else column)
            for name, column in config.columns.items()
        ]
        self._row = Columns(columns)
        self._table = TableWriter(
            config.table,
            key=_key_types(config, columns),
            version=config.version,
            aws=config.aws.over(context.aws),
            at_once=config.at_once,
            client=config.client,
        )

    async def __aenter__(self) -> Self:
        await self._table.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._table.__aexit__(exc_type, exc, traceback)

    async def check(self) -> None:
        """See that the table is there, in use and has the configured key; the right to write cannot be seen."""
        await self._table.check()

    def permissions(self) -> Iterable[Permission]:
        return self._table.permissions()

    def billed(self, load: Load) -> Mapping[str, float]:
        """A write unit for each KB of a row, which is taken to be as long as its event, on demand and without indexes."""
        return {"dynamodb_write_unit": load.chunks(2**10)}

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        """Write the events' rows; one whose values do not fit its columns is a permanent failure of its own."""
        rows: list[tuple[Event, Row]] = []
        failures: list[Failure] = []
        failed_groups: set[str] = set()
        for event in events:
            if event.group in failed_groups:
                failures.append(Failure.transient(event, "behind_failed"))
                continue
            try:
                rows.append((event, self._row(event)))
            except PermanentError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
                failed_groups.update([] if event.group is None else [event.group])
        return [*failures, *await self._table.write(rows)]


def _key_types(config: DynamoDBConfig, columns: Sequence[Column]) -> dict[str, KeyType]:
    """Give the key's columns their types; raises ValueError where a column is missing or its type is left open."""
    types = {column.name: column.type for column in columns}
    for name in [*config.key, *([] if config.version is None else [config.version])]:
        if name not in types:
            raise ValueError(f"{name} is part of key or version, but columns has only {', '.join(types)}")
    for name in config.key:
        if types[name] not in _KEY_TYPES:
            raise ValueError(
                f"{name} is part of the key: give it a type of {', '.join(_KEY_TYPES)}, found {types[name]}"
            )
    return {name: _KEY_TYPES[types[name]] for name in config.key}
