"""One DynamoDB table as a writer of rows sees it. A faster wire replaces aioboto3 by implementing this one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

Item: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A row as DynamoDB's API takes it: each value under its type, ``{"Id": {"S": "7"}}``."""


class Storable(Protocol):
    """A row on its way: the same as values and as the JSON of the wire."""

    @property
    def item(self) -> Item:
        """The values."""
        ...

    @property
    def json(self) -> bytes:
        """The same encoded, once."""
        ...


class TableDescription(msgspec.Struct, frozen=True):
    """What DescribeTable tells: the table's status, and its key's columns with their types, the partition key first."""

    status: str
    key: list[tuple[str, str]]


class ConditionFailedError(Exception):
    """The table holds a row that is newer, or whose version does not compare; ``item`` is that row."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition failed")
        self.item = item


class TableClient(Protocol):
    """One table. Every method raises one of the three kinds of DeliveryError when the call failed."""

    async def describe(self) -> TableDescription:
        """Ask for the table's description."""
        ...

    async def put_batch(self, rows: Sequence[Storable]) -> Sequence[Item]:
        """Put 1 to 25 rows of different keys; gives back those that DynamoDB left unprocessed."""
        ...

    async def put_unless_older(self, row: Storable, version: str) -> None:
        """Put a row unless the stored one's ``version`` is greater; raises :class:`ConditionFailedError` then."""
        ...


UNLESS_OLDER = "attribute_not_exists(#version) OR #version <= :version"
"""The condition: a row that has no version at all is older than every version."""


def description_of(table: Mapping[str, Any]) -> TableDescription:
    """Read what stands under ``Table`` in DescribeTable's answer."""
    types = {column["AttributeName"]: column["AttributeType"] for column in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda part: str(part["KeyType"]))  # HASH before RANGE
    return TableDescription(
        table["TableStatus"], [(part["AttributeName"], types[part["AttributeName"]]) for part in schema]
    )
