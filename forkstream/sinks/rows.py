"""Rows into a DynamoDB table: all of the mechanics, for every sink that writes to one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from forkstream.aws.open_queue import Client
from forkstream.aws.open_table import open_table
from forkstream.aws.table import ConditionFailedError, Item, TableClient
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event, Failure, FailureKind
from forkstream.ports import Permission
from forkstream.settings import AwsSettings
from forkstream.sinks.each import each
from forkstream.sinks.item import Cell, KeyType, Row, identity
from forkstream.sinks.puts import Lane, Put, batches, plan

__all__ = ["Cell", "KeyType", "Row", "TableWriter"]


class TableWriter:
    """Writes rows to one table: ``async with TableWriter("orders", key={"Id": "S"}, version=None, aws=…) as table``.

    ``key`` names the key's columns with their types, the partition key first. ``version`` names the column, a
    number or a string that sorts by age, by which an equal or newer row replaces an older one and an older one is
    done without a trace: rows may then arrive repeated and in any order, one conditional PutItem each. With
    None rows go in by BatchWriteItem, and the last one written stands: right only where a row is a pure function
    of its event and its key holds the event's identity, so that nothing but a repeat of the event has that key.
    Versions of different types do not compare: where the stored one is a string and this row's a number, or the other
    way round, the stored row stays and the event fails for good with the code ``version_type``. Like every plugin it
    does not retry; ``aws`` says where and as whom, ``client`` over which wire.
    """

    def __init__(
        self,
        table: str,
        *,
        key: Mapping[str, KeyType],
        version: str | None,
        aws: AwsSettings,
        at_once: int = 16,
        client: Client = "native",
    ) -> None:
        if not 1 <= len(key) <= 2:
            raise ValueError(f"key: a table's key has one column or two, found {len(key)}")
        self.table = table
        self.key = dict(key)
        self.version = version
        self._at_once = at_once
        self._aws = aws
        self._wire: Client = client
        self._client: TableClient
        self._stack = AsyncExitStack()
        self._key_confirmed = False

    async def __aenter__(self) -> Self:
        opening = open_table(self._wire, self.table, self._aws, connections=self._at_once)
        self._client = await self._stack.enter_async_context(opening)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def permissions(self) -> Iterable[Permission]:
        """What a sink that has this writer needs to be allowed."""
        put = "dynamodb:PutItem" if self.version is not None else "dynamodb:BatchWriteItem"
        arn = (
            self.table
            if self.table.startswith("arn:")
            else f"arn:{{partition}}:dynamodb:{{region}}:{{account}}:table/{self.table}"
        )
        yield Permission(actions=(put, "dynamodb:DescribeTable"), resource=arn, aws=self._aws)
        yield Permission(actions=("kms:Decrypt",), key_of="dynamodb", aws=self._aws)

    async def check(self) -> None:
        """See that the table is there, in use and has this key; raises :class:`UnavailableError` otherwise.

        It writes nothing, so it cannot prove the permission to write; where dynamodb:DescribeTable is denied
        it proves nothing at all, and that is no error, since writing does not need it.
        """
        try:
            found = await self._client.describe()
        except UnavailableError as error:
            if error.code == "denied":
                return
            raise
        if found.status not in ("ACTIVE", "UPDATING"):
            raise UnavailableError("table_not_active", f"table {self.table} is {found.status}")
        if found.key != list(self.key.items()):
            raise UnavailableError("table_key", f"table {self.table} has the key {found.key}, configured is {self.key}")

    async def write(self, rows: Sequence[tuple[Event, Row]]) -> Collection[Failure]:
        """Write the rows and return the events that failed; events not named are durable.

        An event may stand in ``rows`` once. Raises :class:`UnavailableError` where the table cannot be used; what was
        written until then stays, and writing it again changes nothing.
        """
        lanes, failures = plan(rows, key=self.key, version=self.version)

        async def write_batch(puts: Sequence[Put]) -> None:
            failures.extend(await self._put_batch(puts))

        async def write_lane(lane: Lane) -> None:
            failures.extend(await self._put_lane(lane))

        if self.version is not None:
            await each(write_lane, lanes, at_once=self._at_once)
        else:
            await each(write_batch, batches(lanes), at_once=self._at_once)
        return failures

    async def _put_batch(self, puts: Sequence[Put]) -> list[Failure]:
        """Put up to 25 items. One item that DynamoDB refuses makes it refuse all of them: halve until it stands alone."""
        try:
            left = await self._client.put_batch(puts)
        except TransientError as error:
            return _failures(puts, error)
        except PermanentError as error:
            await self._suspect_table()
            if len(puts) == 1:
                return _failures(puts, error)
            half = len(puts) // 2
            return [*await self._put_batch(puts[:half]), *await self._put_batch(puts[half:])]
        if not left:
            return []
        keys = {identity(item, self.key) for item in left}
        unprocessed = [put for put in puts if put.key in keys]
        if len(unprocessed) != len(left):  # not what was sent: rather write them all again than lose one
            unprocessed = list(puts)
        return _failures(unprocessed, TransientError("unprocessed"))

    async def _put_lane(self, lane: Lane) -> list[Failure]:
        """Put one after the other; behind one that failed nothing takes effect."""
        for at, put in enumerate(lane):
            try:
                await self._put_unless_older(put)
            except UnavailableError:
                raise
            except DeliveryError as error:
                if isinstance(error, PermanentError):
                    await self._suspect_table()
                return [*_failures([put], error), *_failures(lane[at + 1 :], TransientError("behind_failed"))]
        return []

    async def _put_unless_older(self, put: Put) -> None:
        try:
            await self._client.put_unless_older(put, self.version or "")
        except ConditionFailedError as refusal:
            self._accept_refusal(put, refusal.item)

    def _accept_refusal(self, put: Put, stored_row: Item) -> None:
        """Take a failed condition for "a newer row is there", unless it failed since the versions do not compare."""
        column = self.version or ""
        stored = stored_row.get(column)
        if stored is not None and stored.keys() != put.item[column].keys():
            found, ours = (next(iter(value)) for value in (stored, put.item[column]))
            raise PermanentError("version_type", f"{column} is stored as {found}, this row's is {ours}")

    async def _suspect_table(self) -> None:
        """Ask, once, whether refused items are the table's fault: its key is another one than the configured."""
        if not self._key_confirmed:
            try:
                await self.check()
            except TransientError:
                return
            self._key_confirmed = True


def _failures(puts: Iterable[Put], error: DeliveryError) -> list[Failure]:
    kind = FailureKind.PERMANENT if isinstance(error, PermanentError) else FailureKind.TRANSIENT
    return [Failure(event, kind, error.code, error.detail) for put in puts for event in put.events]
