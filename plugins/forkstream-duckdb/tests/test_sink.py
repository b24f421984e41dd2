from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pytest
from forkstream_duckdb.column import ColumnSettings
from forkstream_duckdb.sink import DuckDBConfig, DuckDBSink

from forkstream.errors import TransientError, UnavailableError
from forkstream.event import Event, FailureKind, Target
from forkstream.ports import Context

Select: TypeAlias = Callable[[str], list[tuple[Any, ...]]]

AMOUNT = {"amount": ("payment.amount", "DECIMAL(12,2)")}
CONTEXT = Context(fork="search")


def sink(file: Path, columns: dict[str, tuple[str, str]] | None = None) -> DuckDBSink:
    declared = {name: ColumnSettings(path=path, type=type_) for name, (path, type_) in (columns or AMOUNT).items()}
    return DuckDBSink(DuckDBConfig(path=file, table="orders", columns=declared), CONTEXT)


def document(
    amount: str = "450.00",
    *,
    key: str = "1",
    version: int | None = None,
    index: str = "orders",
) -> Event:
    body = f'{{"payment":{{"amount":{amount}}},"@timestamp":"2018-12-16T07:41:11.000Z"}}'
    return Event(body.encode(), id=f"m-{key}", target=Target(index=index, id=key, version=version))


@contextmanager
def held(file: Path, *, read_only: bool) -> Iterator[None]:
    """Hold the file open in a process of its own."""
    code = f"import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only={read_only}); print('open', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate("")


def test_a_document_is_a_row_with_typed_columns_and_the_whole_of_it(file: Path, select: Select) -> None:
    assert sink(file).write([document(key="7", version=3)]) == []
    assert select("SELECT index, id, version, timestamp, amount, data FROM orders") == [
        ("orders", "7", 3, datetime(2018, 12, 16, 7, 41, 11), Decimal("450.00"), document().body.decode())  # noqa: DTZ001  # UTC
    ]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("versions", "stands"),
    [
        ([1, 2], 2),
        ([2, 1], 1),
        ([1, 1], 2),
        ([None, None], 2),
        ([5, None], 2),
        ([None, 5], 2),
        ([0, 9], 2),
        ([10, 9], 1),
    ],
)
def test_equal_or_newer_wins_within_a_write_and_between_two(
    file: Path, select: Select, versions: list[int | None], stands: int, *, together: bool
) -> None:
    documents = [document(f"{number}.00", version=version) for number, version in enumerate(versions, 1)]
    target = sink(file)
    for batch in [documents] if together else [documents[:1], documents[1:]]:
        assert target.write(batch) == []
    assert select("SELECT amount FROM orders") == [(stands,)]


def test_the_same_id_in_two_indexes_is_two_documents(file: Path, select: Select) -> None:
    sink(file).write([document("1.00", index="orders-a"), document("2.00", index="orders-b")])
    assert select("SELECT index, amount FROM orders ORDER BY 1") == [("orders-a", 1), ("orders-b", 2)]


def test_a_repeated_batch_changes_nothing(file: Path, select: Select) -> None:
    documents = [document(f"{number}.50", key=str(number), version=1) for number in range(500)]
    target = sink(file)
    for _ in range(3):
        assert target.write(documents) == []
    assert select("SELECT count(*), sum(amount) FROM orders") == [
        (500, sum(Decimal(n) + Decimal("0.5") for n in range(500)))
    ]


def test_a_value_that_does_not_fit_fails_its_document_alone(file: Path, select: Select) -> None:
    bad = [document('"lots"', key="2"), document("1.005", key="3")]
    failures = list(sink(file).write([document(key="1"), *bad, document(key="4")]))
    assert [failure.event for failure in failures] == bad
    assert {failure.kind for failure in failures} == {FailureKind.PERMANENT}
    assert {failure.code for failure in failures} == {"column_value"}
    assert all(failure.detail.startswith("amount: expected") for failure in failures)
    assert select("SELECT id FROM orders ORDER BY id") == [("1",), ("4",)]


def test_an_older_good_document_stands_where_the_newer_is_bad(file: Path, select: Select) -> None:
    newer = document("true", version=2)
    (failure,) = sink(file).write([document("1.00", version=1), newer])
    assert failure.event is newer
    assert select("SELECT amount FROM orders") == [(1,)]


def test_a_bad_time_is_named(file: Path) -> None:
    event = Event(b'{"@timestamp":"soon"}', id="m", target=Target("orders", "1"))
    (failure,) = sink(file).write([event])
    assert failure.detail.startswith("timestamp: expected a time")


def test_what_is_not_there_is_null_and_the_time_is_that_of_the_sending(file: Path, select: Select) -> None:
    sink(file).write([Event(b'{"payment":null}', id="m", sent_at=1_000_000_000.5, target=Target("orders", "1"))])
    assert select("SELECT amount, timestamp FROM orders") == [
        (None, datetime(2001, 9, 9, 1, 46, 40, 500_000))  # noqa: DTZ001  # UTC
    ]


def test_events_without_a_target_or_without_json_fail_alone(file: Path, select: Select) -> None:
    without_target = Event(b"{}", id="m")
    without_json = Event(b"\xff", id="m", target=Target("orders", "1"))
    failures = sink(file).write([without_target, without_json, document(key="2")])
    assert {failure.event: failure.code for failure in failures} == {
        without_target: "no_target",
        without_json: "not_json",
    }
    assert select("SELECT id FROM orders") == [("2",)]


def test_a_new_column_is_added_to_the_table_that_is_there(file: Path, select: Select) -> None:
    sink(file).write([document(key="1")])
    evolved = sink(file, {**AMOUNT, "currency": ("payment.currency", "VARCHAR")})
    event = Event(b'{"payment":{"amount":1.00,"currency":"usd"}}', id="m", target=Target("orders", "2"))
    for _ in range(2):
        assert evolved.write([event]) == []
    assert select("SELECT id, amount, currency FROM orders ORDER BY id") == [("1", 450, None), ("2", 1, "usd")]
    assert sink(file).write([document(key="3")]) == [], "and a config that has not heard of it goes on"


def test_a_column_of_another_type_halts_and_says_what_it_found(file: Path) -> None:
    sink(file).write([document()])
    other = sink(file, {"amount": ("payment.amount", "DOUBLE")})
    with pytest.raises(UnavailableError, match="column_type") as refusal:
        other.write([document()])
    assert "amount is DECIMAL(12,2), configured is DOUBLE" in refusal.value.detail
    with held(file, read_only=True), pytest.raises(UnavailableError, match="column_type"):
        asyncio.run(other.check())


def test_a_reader_of_another_process_makes_the_write_wait(file: Path, select: Select) -> None:
    target = sink(file)
    target.write([document(key="1")])
    with held(file, read_only=True), pytest.raises(TransientError, match="locked"):
        target.write([document(key="2")])
    assert target.write([document(key="2")]) == []
    assert select("SELECT count(*) FROM orders") == [(2,)]


def test_a_reader_of_this_process_makes_the_write_wait(file: Path) -> None:
    target = sink(file)
    target.write([document(key="1")])
    with duckdb.connect(file, read_only=True), pytest.raises(TransientError, match="locked"):
        target.write([document(key="2")])


def test_readers_get_in_between_two_writes(file: Path, select: Select) -> None:
    target = sink(file)
    for number in range(1, 4):
        target.write([document(key=str(number))])
        with held(file, read_only=True):
            pass
        assert select("SELECT count(*) FROM orders") == [(number,)]


def test_a_file_that_is_no_database_halts(file: Path) -> None:
    file.write_text("not a database " * 1000)
    with pytest.raises(UnavailableError, match="unusable_file") as refusal:
        sink(file).write([document()])
    assert str(file) in refusal.value.detail
    with pytest.raises(UnavailableError, match="unusable_file"):
        asyncio.run(sink(file).check())


async def test_a_missing_directory_halts(tmp_path: Path) -> None:
    nowhere = sink(tmp_path / "nowhere" / "analytics.duckdb")
    with pytest.raises(UnavailableError, match="missing"):
        await nowhere.check()
    with pytest.raises(UnavailableError, match="unusable_file"):
        nowhere.write([document()])


def test_check_leaves_nothing_behind_and_takes_others_for_no_fault(file: Path) -> None:
    target = sink(file)
    asyncio.run(target.check())
    assert not file.exists()
    target.write([document()])
    asyncio.run(target.check())
    for read_only in (True, False):
        with held(file, read_only=read_only):
            asyncio.run(target.check())


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"ID": ("id", "BIGINT")}, "of its own, found ID too"),
        ({"a": ("x", "BIGINT"), "A": ("y", "BIGINT")}, "differ only in case"),
        ({"amount": ("payment.*", "BIGINT")}, r"columns\.amount: path"),
        ({"amount": ("payment.amount", "MONEY")}, r"columns\.amount: 'MONEY' is no type"),
    ],
)
def test_columns_that_cannot_work_are_a_config_error(
    file: Path, columns: dict[str, tuple[str, str]], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        sink(file, columns)


def test_a_column_name_is_never_sql(file: Path, select: Select) -> None:
    name = 'x" BIGINT); DROP TABLE orders; --'
    assert sink(file, {name: ("payment.amount", "DOUBLE")}).write([document("1")]) == []
    assert select("SELECT count(*) FROM orders") == [(1,)]


def test_it_declares_that_it_runs_in_one_process_only() -> None:
    assert DuckDBSink.single_process
