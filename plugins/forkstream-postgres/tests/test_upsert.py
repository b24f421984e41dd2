"""What stands in the table after writes in any order, and what each trouble is taken for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
import pytest
from forkstream_postgres.sink import PostgresConfig, PostgresSink

from forkstream import Attribute, Context, Event, Failure, PermanentError, Secret, TransientError, UnavailableError

Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]

COLUMNS = {"id": "id", "version": "v", "amount": "amount", "note": "note", "document": "$"}


def sink(dsn: str, *, version: str | None = "version", **columns: str) -> PostgresSink:
    config = PostgresConfig(dsn=Secret(dsn), table="orders", columns=columns or COLUMNS, key=["id"], version=version)
    return PostgresSink(config, Context(fork="test"))


def order(number: int, version: int = 1, **fields: object) -> Event:
    return Event(json.dumps({"id": number, "v": version, **fields}).encode(), id=f"m{number}.{version}")


def write(plugin: PostgresSink, *batches: Sequence[Event]) -> list[Failure]:
    async def written() -> list[Failure]:
        async with plugin:
            return [failure for batch in batches for failure in await plugin.write(batch)]

    return asyncio.run(written())


@pytest.mark.parametrize("versions", [[1, 2, 3], [3, 2, 1], [2, 3, 1]])
def test_the_newest_version_stays_within_a_batch_and_between_batches(dsn: str, ask: Ask, versions: list[int]) -> None:
    together = [order(1, version, note=f"as of {version}") for version in versions]
    assert not write(sink(dsn), together, [order(2, version, note=f"as of {version}") for version in versions[:1]])
    assert not write(sink(dsn), *[[order(2, version, note=f"as of {version}")] for version in versions[1:]])
    assert ask("SELECT id, version, note FROM orders ORDER BY id") == [(1, 3, "as of 3"), (2, 3, "as of 3")]


def test_without_a_version_the_last_written_stands(dsn: str, ask: Ask) -> None:
    assert not write(sink(dsn, version=None), [order(1, 3), order(1, 2)], [order(1, 1)])
    assert ask("SELECT version FROM orders") == [(1,)]


def test_a_table_of_keys_alone_takes_each_key_once(dsn: str, ask: Ask) -> None:
    assert not write(sink(dsn, version=None, id="id"), [order(1), order(1)], [order(1)])
    assert ask("SELECT id FROM orders") == [(1,)]


def test_values_arrive_as_they_were(dsn: str, ask: Ask) -> None:
    body = rb'{"id":1,"v":9007199254740993,"amount":1234567890.10,"note":"a\tb\\n\n\r\u00e9\"$","x":[1.10,null,{"y":true}]}'
    assert not write(sink(dsn), [Event(body, id="m")])
    assert ask("SELECT version, amount, note, (document -> 'x')::text FROM orders") == [
        (9007199254740993, Decimal("1234567890.10"), 'a\tb\\n\n\ré"$', '[1.10, null, {"y": true}]')
    ]


def test_missing_is_null_but_not_in_the_key(dsn: str, ask: Ask) -> None:
    failures = write(sink(dsn), [order(1, amount=None), Event(b'{"v":1}', id="no key")])
    assert [(failure.event.id, failure.code) for failure in failures] == [("no key", "missing_path")]
    assert ask("SELECT amount, note FROM orders") == [(None, None)]


def test_binary_attributes_are_bytea(dsn: str, ask: Ask) -> None:
    ask("ALTER TABLE orders ADD COLUMN signature bytea")
    event = order(1).with_(attributes={"signature": Attribute("Binary", b"\x00\xff\\n")})
    assert not write(sink(dsn, version=None, id="id", signature="attributes.signature"), [event])
    assert ask("SELECT signature FROM orders") == [(b"\x00\xff\\n",)]


def test_a_text_that_no_column_can_hold_fails_alone(dsn: str, ask: Ask) -> None:
    failures = write(sink(dsn), [order(1), order(2, note="a\0b"), order(3)])
    assert [(failure.event.id, failure.code) for failure in failures] == [("m2.1", "nul_character")]
    assert ask("SELECT id FROM orders ORDER BY id") == [(1,), (3,)]


def test_an_event_behind_a_failed_one_of_its_group_waits(dsn: str, ask: Ask) -> None:
    events = [order(1, note="a\0b"), order(2), order(3)]
    events[:2] = [msgspec.structs.replace(event, group="one") for event in events[:2]]
    assert [failure.code for failure in write(sink(dsn), events)] == ["nul_character", "behind_failed"]
    assert ask("SELECT id FROM orders") == [(3,)]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (order(1, amount="a lot"), "invalid_text_representation"),
        (order(1, amount=12345678901), "numeric_value_out_of_range"),
        (order(1, amount=-1), "check_violation"),
    ],
)
def test_what_a_column_refuses_is_the_events_fault_and_nothing_is_written(
    dsn: str, ask: Ask, event: Event, code: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        write(sink(dsn), [order(2), event])
    assert caught.value.code == code
    assert ask("SELECT id FROM orders") == []


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("DROP TABLE orders", "undefined_table"),
        ("ALTER TABLE orders RENAME COLUMN note TO remark", "undefined_column"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "invalid_column_reference"),
    ],
)
def test_what_somebody_has_to_mend_halts_at_the_check(dsn: str, ask: Ask, trouble: str, code: str) -> None:
    ask(trouble)
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(sink(dsn).check())
    assert caught.value.code == code
    assert "orders" in caught.value.detail


def test_a_missing_right_halts_at_the_check(dsn: str, ask: Ask) -> None:
    role = "reader_" + dsn.rpartition("_")[2]
    ask(f"CREATE ROLE {role} LOGIN")
    ask(f"GRANT USAGE ON SCHEMA {dsn.rpartition('=')[2]} TO {role}")
    ask(f"GRANT SELECT, INSERT ON orders TO {role}")  # and no UPDATE
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(sink(dsn.replace("test@", f"{role}@")).check())
    assert caught.value.code == "insufficient_privilege"
    ask(f"GRANT UPDATE ON orders TO {role}")
    asyncio.run(sink(dsn.replace("test@", f"{role}@")).check())
    assert ask("SELECT count(*) FROM orders") == [(0,)]


def test_a_lost_connection_is_transient_and_the_next_write_goes_through(dsn: str, ask: Ask) -> None:
    async def steps() -> None:
        async with sink(dsn) as plugin:
            assert not await plugin.write([order(1)])
            await asyncio.to_thread(
                ask,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()",
            )
            failed = 0
            while True:
                try:
                    assert not await plugin.write([order(2)])
                    break
                except TransientError:
                    failed += 1
                    assert failed < 5

    asyncio.run(steps())
    assert ask("SELECT id FROM orders ORDER BY id") == [(1,), (2,)]


def test_writes_at_once_on_the_same_keys_never_wait_in_a_circle(dsn: str, ask: Ask) -> None:
    async def steps() -> list[Collection[Failure]]:
        async with sink(dsn) as plugin:
            forth = [order(number, 1) for number in range(300)]
            back = [order(number, 2) for number in reversed(range(300))]
            return await asyncio.gather(*(plugin.write(batch) for batch in [forth, back] * 4))

    assert asyncio.run(steps()) == [[]] * 8
    assert ask("SELECT count(*), min(version) FROM orders") == [(300, 2)]


def test_the_password_is_shown_nowhere() -> None:
    with pytest.raises(ValueError, match="dsn: expected a URL") as caught:
        sink("host=x password=hunter2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(sink("postgresql://test:hunter2@127.0.0.1/x").config)
