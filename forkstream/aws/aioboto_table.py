"""DynamoDB through aioboto3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from aiobotocore.config import AioConfig

from forkstream.aws.errors import translating
from forkstream.aws.sdk_answer import damaged, of_json
from forkstream.aws.session import AwsSession
from forkstream.aws.table import UNLESS_OLDER, ConditionFailedError, Item, Storable, TableDescription, description_of
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class AiobotoTableClient:
    """One table through aioboto3."""

    def __init__(self, name: str, client: DynamoDBClient) -> None:
        self._name = name
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, settings: AwsSettings, *, connections: int) -> AsyncIterator[Self]:
        """Open the client."""
        # items are of our own making: to check each value against the API's model again costs more than sending it
        config = AioConfig(parameter_validation=False)
        async with AwsSession(settings).client("dynamodb", connections=connections, config=config) as client:
            yield cls(name, client)

    async def describe(self) -> TableDescription:
        with translating("dynamodb:DescribeTable", self._name):
            found = await self._client.describe_table(TableName=self._name)
        return description_of(found["Table"])

    async def put_batch(self, rows: Sequence[Storable]) -> Sequence[Item]:
        puts: Any = [{"PutRequest": {"Item": row.item}} for row in rows]
        with translating("dynamodb:BatchWriteItem", self._name):
            answer = await self._client.batch_write_item(RequestItems={self._name: puts})
        left: Any = answer.get("UnprocessedItems")
        if left is None:  # DynamoDB always says
            raise damaged("DynamoDB", f"dynamodb:BatchWriteItem on {self._name}")
        return [request["PutRequest"]["Item"] for requests in left.values() for request in requests]

    async def put_unless_older(self, row: Storable, version: str) -> None:
        with translating("dynamodb:PutItem", self._name):
            try:
                written = await self._client.put_item(
                    TableName=self._name,
                    Item=row.item,
                    ConditionExpression=UNLESS_OLDER,
                    ExpressionAttributeNames={"#version": version},
                    ExpressionAttributeValues={":version": row.item[version]},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._client.exceptions.ConditionalCheckFailedException as refusal:
                answer: Any = refusal.response
                raise ConditionFailedError(answer.get("Item", {})) from None
        of_json("DynamoDB", written, f"dynamodb:PutItem on {self._name}")
