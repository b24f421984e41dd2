"""Rows in DynamoDB: exact, idempotent, and each failure named by its event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from typing import Any, get_args

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from aiohttp import web

from forkstream.aws.open_queue import Client
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Event, Failure, FailureKind
from forkstream.sinks.rows import KeyType, Row, TableWriter
from tests.integration.scripted_aws import (
    Act,
    Request,
    Wire,
    answer,
    hold_until,
    log_in_first,
    lose_answer,
    scripted_aws,
)

TOO_LARGE = "x" * 410_000  # an item has at most 400 KB


class Table:
    """A table of this test's own, keyed by Id (S), and writers to it."""

    def __init__(self, name: str, wire: Wire, client: Client) -> None:
        self.name = name
        self.client: Client = client
        self.wire = wire
        self.table = boto3.resource("dynamodb").Table(name)

    async def write(
        self, rows: Iterable[Row | tuple[Event, Row]], *, version: str | None = None, **settings: Any
    ) -> list[tuple[str, str]]:
        """Write the rows; gives the id and the code of each failure. An event's id is its row's place."""
        named = [row if isinstance(row, tuple) else (Event(b"", id=str(at)), row) for at, row in enumerate(rows)]
        async with self.writer(version=version, **settings) as writer:
            self.failures: list[Failure] = list(await writer.write(named))
        return [(failure.event.id, failure.code) for failure in self.failures]

    def writer(self, *, version: str | None = None, **settings: Any) -> TableWriter:
        key: dict[str, KeyType] = settings.pop("key", {"Id": "S"})
        table = settings.pop("table", self.name)
        return TableWriter(table, key=key, version=version, aws=self.wire.settings, client=self.client, **settings)

    def rows(self) -> dict[str, Any]:
        return {row.pop("Id"): row for row in self.table.scan(ConsistentRead=True)["Items"]}


@pytest.fixture(params=get_args(Client))
async def table(aws: EmbeddedAws, unique: str, request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    create_table(unique, {"Id": "S"})
    async with scripted_aws(aws) as wire:
        yield Table(unique, wire, request.param)


def create_table(name: str, key: dict[str, str]) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": column, "KeyType": kind} for column, kind in zip(key, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[
            {"AttributeName": column, "AttributeType": type_} for column, type_ in sorted(key.items())
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def leave_unprocessed(*ids: str) -> Act:
    """Write all but the items named, and say so."""

    async def act(wire: Wire, request: Request) -> web.Response:
        ((name, puts),) = request.json["RequestItems"].items()
        left = [put for put in puts if put["PutRequest"]["Item"]["Id"]["S"] in ids]
        taken = [put for put in puts if put not in left]
        request.body = json.dumps({"RequestItems": {name: taken}}).encode()
        if taken:
            await wire.forward(request)
        return web.json_response({"UnprocessedItems": {name: left}}, content_type="application/x-amz-json-1.0")

    return act


async def test_rows_arrive_with_every_digit(table: Table) -> None:
    row: Row = {
        "amount": Decimal("450.00"), "long": Decimal("-0.12345678901234567890123456789012345678"), "whole": 10**37 + 1,
        "raw": b"\0\xff", "text": "ü", "yes": True, "none": None, "list": ["x", 1], "map": {"a": {"b": ""}},
    }  # fmt: skip
    assert await table.write([{"Id": "a", **row}]) == []
    assert table.rows()["a"] == row


async def test_rows_go_25_to_a_request(table: Table) -> None:
    assert await table.write({"Id": str(at)} for at in range(60)) == []
    assert len(table.rows()) == 60
    sizes = [len(request.json["RequestItems"][table.name]) for request in table.wire.seen("BatchWriteItem")]
    assert sorted(sizes) == [10, 25, 25]


async def test_the_requests_under_way_are_bounded(table: Table) -> None:
    released = asyncio.Event()
    table.wire.when("BatchWriteItem", hold_until(released), times=None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(table.write(({"Id": str(at)} for at in range(100)), at_once=2))
        await table.wire.until(lambda: table.wire.under_way == 2)
        released.set()
    assert table.wire.most_at_once == 2


async def test_contract_2_unprocessed_items_are_failures_of_their_events(table: Table) -> None:
    table.wire.when("BatchWriteItem", leave_unprocessed("3", "11"))
    assert await table.write({"Id": str(at)} for at in range(20)) == [("3", "unprocessed"), ("11", "unprocessed")]
    assert {failure.kind for failure in table.failures} == {FailureKind.TRANSIENT}
    assert len(table.rows()) == 18


async def test_an_answer_about_items_that_were_not_sent_fails_the_whole_request(table: Table) -> None:
    async def confused(_: Wire, __: Request) -> web.Response:
        other = {"PutRequest": {"Item": {"Id": {"S": "other"}}}}
        return web.json_response({"UnprocessedItems": {table.name: [other]}}, content_type="application/x-amz-json-1.0")

    table.wire.when("BatchWriteItem", confused)
    assert await table.write([{"Id": "a"}, {"Id": "b"}]) == [("0", "unprocessed"), ("1", "unprocessed")]


async def test_contract_2_one_poison_row_is_found_and_its_neighbours_are_written_once(table: Table) -> None:
    rows = [{"Id": str(at), "fill": TOO_LARGE if at == 40 else ""} for at in range(60)]
    assert await table.write(rows) == [("40", "rejected")]
    assert table.failures[0].kind is FailureKind.PERMANENT
    assert set(table.rows()) == {str(at) for at in range(60)} - {"40"}
    # 3 requests, of which one is halved: 25, 12+13, …
    assert table.wire.actions["BatchWriteItem"] <= 3 + 2 * 5


async def test_contract_7_equal_keys_settle_with_the_one_that_is_kept(table: Table) -> None:
    rows: list[Row] = [{"Id": "a", "n": 1}, {"Id": "b", "n": 1}, {"Id": "a", "n": 2}]
    table.wire.when("BatchWriteItem", leave_unprocessed("a"))
    assert await table.write(rows) == [("0", "unprocessed"), ("2", "unprocessed")]
    assert await table.write(rows) == []
    assert table.rows() == {"a": {"n": 2}, "b": {"n": 1}}


async def test_contract_7_an_older_row_changes_nothing_and_an_equal_or_newer_one_replaces(table: Table) -> None:
    assert await table.write([{"Id": "a", "V": 5, "n": "first"}], version="V") == []
    assert await table.write([{"Id": "a", "V": 4, "n": "older"}], version="V") == []
    assert table.rows()["a"]["n"] == "first"
    assert await table.write([{"Id": "a", "V": 5, "n": "equal"}], version="V") == []
    assert table.rows()["a"]["n"] == "equal"
    assert await table.write([{"Id": "a", "V": Decimal("10.5"), "n": "newer"}], version="V") == []
    assert table.rows()["a"] == {"V": Decimal("10.5"), "n": "newer"}
    assert table.wire.actions == {"PutItem": 4}


async def test_contract_7_a_row_without_a_version_is_older_than_any(table: Table) -> None:
    table.table.put_item(Item={"Id": "a", "n": "of somebody else"})
    assert await table.write([{"Id": "a", "V": -1, "n": "ours"}], version="V") == []
    assert table.rows()["a"]["n"] == "ours"


async def test_a_version_that_does_not_compare_is_not_taken_for_an_older_one(table: Table) -> None:
    table.table.put_item(Item={"Id": "a", "V": "2018-12-15", "n": "stored"})
    assert await table.write([{"Id": "a", "V": 1_544_946_071}], version="V") == [("0", "version_type")]
    assert table.failures[0].kind is FailureKind.PERMANENT
    assert table.rows()["a"]["n"] == "stored"


async def test_contract_7_a_repeat_after_a_lost_answer_changes_nothing(table: Table) -> None:
    for version, action in ((None, "BatchWriteItem"), ("V", "PutItem")):
        rows: list[Row] = [{"Id": f"{version}-{at}", "V": at} for at in range(3)]
        table.wire.when(action, lose_answer)
        failed = await table.write(rows, version=version)
        assert {code for _, code in failed} == {"connection"}
        assert {failure.kind for failure in table.failures} == {FailureKind.TRANSIENT}
        stored = table.rows()
        assert await table.write(rows, version=version) == []
        assert table.rows() == stored


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "ThrottlingException", "TransactionConflictException"]
)
@pytest.mark.parametrize("version", [None, "V"])
async def test_contract_2_a_throttle_is_tried_again_for_each_event(
    table: Table, version: str | None, code: str
) -> None:
    table.wire.when("BatchWriteItem" if version is None else "PutItem", answer(400, code))
    failed = await table.write([{"Id": "a", "V": 1}, {"Id": "b", "V": 1}], version=version, at_once=1)
    assert [event for event, _ in failed] == (["0", "1"] if version is None else ["0"])
    assert {failure.kind for failure in table.failures} == {FailureKind.TRANSIENT}


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("AccessDeniedException", "denied"),
        ("UnrecognizedClientException", "credentials"),
        ("ResourceNotFoundException", "missing"),
        ("KMSDisabledException", "key_unusable"),
    ],
)
@pytest.mark.parametrize(("version", "action"), [(None, "BatchWriteItem"), ("V", "PutItem")])
async def test_contract_2_a_table_that_cannot_be_used_halts_the_fork_and_blames_no_event(
    table: Table, code: str, named: str, version: str | None, action: str
) -> None:
    table.wire.when(action, answer(400, code), times=None)
    with pytest.raises(UnavailableError) as failed:
        await table.write(({"Id": str(at), "V": 1} for at in range(200)), version=version, at_once=2)
    assert failed.value.code == named
    assert f"dynamodb:{action} on {table.name}" in failed.value.detail
    assert table.wire.actions[action] <= 3  # it does not try the rest


async def test_contract_11_behind_a_failed_event_of_its_group_nothing_takes_effect(table: Table) -> None:
    table.wire.when("PutItem", refuse("g1"), times=None)
    rows: list[tuple[Event, Row]] = [
        (Event(b"", id=f"{group}{at}", group=group), {"Id": f"{group}{at}", "V": at})
        for at in range(4)
        for group in "gh"
    ]
    assert await table.write(rows, version="V") == [
        ("g1", "throttled"),
        ("g2", "behind_failed"),
        ("g3", "behind_failed"),
    ]
    assert set(table.rows()) == {"g0", "h0", "h1", "h2", "h3"}


async def test_contract_11_a_group_is_written_in_order_one_after_the_other(table: Table) -> None:
    rows: list[tuple[Event, Row]] = [
        (Event(b"", id=str(at), group="g"), {"Id": str(at % 3), "V": at}) for at in range(9)
    ]
    assert await table.write(rows, version="V") == []
    assert [request.json["Item"]["V"]["N"] for request in table.wire.seen("PutItem")] == [str(at) for at in range(9)]
    assert table.wire.most_at_once == 1


def refuse(row: str) -> Act:
    async def act(wire: Wire, request: Request) -> web.Response | None:
        if request.json["Item"]["Id"]["S"] == row:
            return await answer(400, "ThrottlingException")(wire, request)
        return await wire.forward(request)

    return act


async def test_check_knows_the_table_by_its_key(table: Table, unique: str) -> None:
    create_table(f"{unique}-2", {"Z": "S", "A": "N"})
    async with table.writer() as one, table.writer(table=f"{unique}-2", key={"Z": "S", "A": "N"}) as two:
        await one.check()
        await two.check()


@pytest.mark.parametrize("key", [{"id": "S"}, {"Id": "N"}, {"Id": "S", "At": "N"}])
async def test_check_finds_another_key(table: Table, key: dict[str, KeyType]) -> None:
    async with table.writer(key=key) as writer:
        with pytest.raises(UnavailableError) as failed:
            await writer.check()
    assert failed.value.code == "table_key"
    assert "[('Id', 'S')]" in failed.value.detail


async def test_check_finds_a_table_that_is_missing_or_not_in_use(table: Table) -> None:
    async def creating(wire: Wire, request: Request) -> web.Response:
        found = await wire.forward(request)
        assert isinstance(found.body, bytes)
        return web.Response(
            body=found.body.replace(b'"ACTIVE"', b'"CREATING"'), content_type="application/x-amz-json-1.0"
        )

    async with table.writer() as writer, table.writer(table=f"{table.name}-not") as other:
        table.wire.when("DescribeTable", creating)
        for one, code in ((writer, "table_not_active"), (other, "missing")):
            with pytest.raises(UnavailableError) as failed:
                await one.check()
            assert failed.value.code == code


async def test_a_writer_that_may_not_describe_the_table_can_write(table: Table) -> None:
    table.wire.when("DescribeTable", answer(400, "AccessDeniedException"), times=None)
    async with table.writer() as writer:
        await writer.check()
    assert await table.write([{"Id": "a", "fill": TOO_LARGE}, {"Id": "b"}]) == [("0", "rejected")]


@pytest.mark.parametrize("version", [None, "V"])
async def test_contract_2_a_wrong_key_in_the_config_blames_no_event(table: Table, version: str | None) -> None:
    with pytest.raises(UnavailableError) as failed:
        await table.write([{"Order": "a", "V": 1}], version=version, key={"Order": "S"})
    assert failed.value.code == "table_key"


async def test_the_table_is_asked_once_however_many_rows_are_refused(table: Table) -> None:
    rows = [{"Id": str(at), "fill": TOO_LARGE} for at in range(3)]
    assert {code for _, code in await table.write(rows, at_once=1)} == {"rejected"}
    assert table.wire.actions["DescribeTable"] == 1


async def test_a_table_that_cannot_be_asked_for_now_is_asked_at_the_next_refusal(table: Table) -> None:
    table.wire.when("DescribeTable", answer(500, "InternalServerError"))
    rows = [{"Id": str(at), "fill": TOO_LARGE} for at in range(2)]
    assert {code for _, code in await table.write(rows, at_once=1)} == {"rejected"}
    assert table.wire.actions["DescribeTable"] == 2


def test_a_key_has_one_column_or_two(table: Table) -> None:
    with pytest.raises(ValueError, match="one column or two, found 3"):
        table.writer(key={"a": "S", "b": "S", "c": "S"})


async def test_a_damaged_answer_is_tried_again(table: Table) -> None:
    async def damaged(wire: Wire, request: Request) -> web.Response:
        await wire.forward(request)
        return web.Response(body=b'{"UnprocessedItems":[', content_type="application/x-amz-json-1.0")

    table.wire.when("BatchWriteItem", damaged)
    assert await table.write([{"Id": "a"}]) == [("0", "damaged_in_transit")]
    assert table.failures[0].kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("version", [None, "v"])
async def test_a_page_that_a_proxy_puts_in_place_of_an_answer_is_none(table: Table, version: str | None) -> None:
    action = "PutItem" if version else "BatchWriteItem"
    table.wire.when(action, log_in_first)
    assert await table.write([{"Id": "a", "v": 1}], version=version) == [("0", "damaged_in_transit")]
    assert table.failures[0].kind is FailureKind.TRANSIENT


async def test_a_binary_key_is_known_again_when_it_was_not_processed(table: Table, unique: str) -> None:
    create_table(f"{unique}-b", {"Id": "B"})

    async def leave_all(_: Wire, request: Request) -> web.Response:
        return web.json_response(
            {"UnprocessedItems": request.json["RequestItems"]}, content_type="application/x-amz-json-1.0"
        )

    table.wire.when("BatchWriteItem", leave_all)
    rows: list[Row] = [{"Id": b"\0\xff"}, {"Id": b"b"}]
    failed = await table.write(rows, table=f"{unique}-b", key={"Id": "B"})
    assert failed == [("0", "unprocessed"), ("1", "unprocessed")]
