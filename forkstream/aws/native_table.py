"""DynamoDB over the wire of our own: a request of 25 rows is put together of what is encoded already."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import msgspec

from forkstream.aws.json_service import JsonService, Service
from forkstream.aws.pool import ConnectionPool
from forkstream.aws.session import AwsSession
from forkstream.aws.table import UNLESS_OLDER, ConditionFailedError, Item, Storable, TableDescription, description_of
from forkstream.errors import TransientError
from forkstream.settings import AwsSettings

_READ_TIMEOUT = 30.0
_DYNAMODB = Service(name="dynamodb", target_prefix="DynamoDB_20120810")
_REFUSED = "ConditionalCheckFailedException"

A = TypeVar("A")


class NativeTableClient:
    """One table. ``connections`` bounds the requests under way."""

    def __init__(self, name: str, service: JsonService, pool: ConnectionPool) -> None:
        self._name = name
        self._service = service
        self._pool = pool
        self._start = b'{"RequestItems":{%b:[{"PutRequest":{"Item":' % _encode(name)

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, settings: AwsSettings, *, connections: int) -> AsyncIterator[Self]:
        """Find endpoint and credentials."""
        async with JsonService.open(_DYNAMODB, AwsSession(settings)) as service:
            pool = ConnectionPool(service.endpoint, connections, _READ_TIMEOUT)
            try:
                yield cls(name, service, pool)
            finally:
                pool.close()

    async def describe(self) -> TableDescription:
        answer = await self._ask("DescribeTable", _encode({"TableName": self._name}))
        return description_of(self._read(_DESCRIBED, answer, "DescribeTable").table)

    async def put_batch(self, rows: Sequence[Storable]) -> Sequence[Item]:
        puts = b'}},{"PutRequest":{"Item":'.join([row.json for row in rows])
        answer = await self._ask("BatchWriteItem", b"%b%b}}]}}" % (self._start, puts))
        if answer == b'{"UnprocessedItems":{}}':
            return ()
        left = self._read(_WRITTEN, answer, "BatchWriteItem").unprocessed
        return [_with_bytes(request.put.item) for requests in left.values() for request in requests]

    async def put_unless_older(self, row: Storable, version: str) -> None:
        request = {
            "TableName": self._name,
            "Item": msgspec.Raw(row.json),
            "ConditionExpression": UNLESS_OLDER,
            "ExpressionAttributeNames": {"#version": version},
            "ExpressionAttributeValues": {":version": row.item[version]},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        answer = await self._ask("PutItem", _encode(request), taking=_REFUSED)
        put = self._read(_PUT, answer, "PutItem")
        if put.kind:
            raise ConditionFailedError(_with_bytes(put.item))

    async def _ask(self, operation: str, body: bytes, *, taking: str = "") -> bytes:
        return await self._service.ask(
            self._pool,
            operation,
            body,
            permission=f"dynamodb:{operation}",
            resource=self._name,
            repeatable=True,  # a put that is repeated changes nothing
            taking=taking,
        )

    def _read(self, decoder: msgspec.json.Decoder[A], answer: bytes, operation: str) -> A:
        try:
            return decoder.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            where = f"dynamodb:{operation} on {self._name}"
            raise TransientError("damaged_in_transit", f"{where}: the answer is not what DynamoDB answers") from None


class _Put(msgspec.Struct):
    item: dict[str, dict[str, Any]] = msgspec.field(name="Item", default_factory=dict)


class _Request(msgspec.Struct):
    put: _Put = msgspec.field(name="PutRequest")


class _Written(msgspec.Struct):
    unprocessed: dict[str, list[_Request]] = msgspec.field(name="UnprocessedItems")


class _PutAnswer(_Put):
    kind: str = msgspec.field(name="__type", default="")


class _Described(msgspec.Struct):
    table: dict[str, Any] = msgspec.field(name="Table")


_encode = msgspec.json.Encoder().encode
_WRITTEN = msgspec.json.Decoder(_Written)
_PUT = msgspec.json.Decoder(_PutAnswer)
_DESCRIBED = msgspec.json.Decoder(_Described)


def _with_bytes(item: Item) -> Item:
    """Give binary values as bytes; on the wire they are base64."""
    return {
        column: {"B": base64.b64decode(value["B"])} if value.keys() == {"B"} else value
        for column, value in item.items()
    }
