"""DynamoDB as the stub speaks it: JSON 1.0, for what writes rows. Nothing is kept."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from forkstream.bench.stub.connection import Reply, Request, answer
from forkstream.bench.stub.tally import Tally
from forkstream.bench.stub.weather import Fault, Weather

MAX_ITEMS = 25
"""Requests of one BatchWriteItem, see there."""
_PREFIX = "com.amazonaws.dynamodb.v20120810#"
_KEY = ("CustomerId", "DateOrderId")
"""What DescribeTable says of every table: the key of the shop's."""


class _BatchWrite(msgspec.Struct, rename="pascal"):
    request_items: dict[str, list[msgspec.Raw]]


class _Table(msgspec.Struct, rename="pascal"):
    table_name: str


_read_batch = msgspec.json.Decoder(_BatchWrite).decode
_encode = msgspec.json.Encoder().encode


class DynamoDB:
    """Answers requests."""

    def __init__(self, weather: Weather, tally: Tally, region: str) -> None:
        self._weather = weather
        self._tally = tally
        self._region = region
        self._all_written = _answer(200, {"UnprocessedItems": {}})

    def serve(self, operation: str, request: Request, reply: Reply) -> None:
        """Answer one request; ``operation`` is in lower case."""
        if operation == "batchwriteitem":
            reply(self._batch_write(request.body))
        elif operation == "putitem":
            self._tally.writes += 1
            self._tally.items += 1
            reply(_answer(200, {}))
        elif operation == "describetable":
            reply(_answer(200, {"Table": self._table(msgspec.json.decode(request.body, type=_Table).table_name)}))
        else:
            self._tally.refused += 1
            reply(_error(400, "com.amazon.coral.service#UnknownOperationException", "the stub does not know it"))

    def strike(self, fault: Fault) -> bytes:
        """What a request is answered that goes wrong."""
        if fault is Fault.THROTTLE:
            message = "The level of configured provisioned throughput for the table was exceeded."
            return _error(400, f"{_PREFIX}ProvisionedThroughputExceededException", message)
        return _error(500, f"{_PREFIX}InternalServerError", "Internal server error")

    def _batch_write(self, body: bytes) -> bytes:
        items = _read_batch(body).request_items
        count = sum(map(len, items.values()))
        if not 1 <= count <= MAX_ITEMS:
            return _error(400, "com.amazon.coral.validate#ValidationException", f"1 to {MAX_ITEMS} items, not {count}")
        self._tally.writes += 1
        left: dict[str, list[msgspec.Raw]] = {}
        if not self._weather.calm:
            for table, requests in items.items():
                struck = self._weather.struck(len(requests))
                if struck:
                    left[table] = [requests[place] for place in struck]
        self._tally.items += count - sum(map(len, left.values()))
        return _answer(200, {"UnprocessedItems": left}) if left else self._all_written

    def _table(self, name: str) -> dict[str, Any]:
        return {
            "TableName": name,
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:{self._region}:000000000000:table/{name}",
            "AttributeDefinitions": [{"AttributeName": column, "AttributeType": "S"} for column in _KEY],
            "KeySchema": [
                {"AttributeName": column, "KeyType": kind} for column, kind in zip(_KEY, ("HASH", "RANGE"), strict=True)
            ],
        }


def _answer(status: int, value: object) -> bytes:
    body = _encode(value)
    headers = (
        "x-amzn-RequestId: FORKSTREAMBENCH000000000000000000000000000000000000\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\nServer: Server\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\n"
    )
    return answer(status, body, headers)


def _error(status: int, kind: str, message: str) -> bytes:
    return _answer(status, {"__type": kind, "message": message})
