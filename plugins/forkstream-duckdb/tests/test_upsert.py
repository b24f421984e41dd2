"""The table itself, beneath what the sink has checked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from forkstream_duckdb.sink import DuckDBConfig, DuckDBSink
from forkstream_duckdb.table import Table

from forkstream.errors import PermanentError, UnavailableError
from forkstream.event import Event, Target
from forkstream.ports import Context

Select: TypeAlias = Callable[[str], list[tuple[Any, ...]]]

COLUMNS = {"index": "VARCHAR", "id": "VARCHAR", "version": "BIGINT", "data": "JSON"}


def test_a_row_that_duckdb_refuses_leaves_nothing_of_its_batch(file: Path, select: Select) -> None:
    table = Table(file, "orders", COLUMNS)
    table.upsert([("orders", "1", None, "{}")])
    with pytest.raises(PermanentError, match="rejected"):
        table.upsert([("orders", "2", None, "{}"), ("orders", "3", None, "{no json")])
    assert select("SELECT id FROM orders") == [("1",)]


def test_a_column_that_is_new_with_a_refused_batch_is_not_there_afterwards(file: Path, select: Select) -> None:
    Table(file, "orders", COLUMNS).upsert([("orders", "1", None, "{}")])
    with pytest.raises(PermanentError, match="rejected"):
        Table(file, "orders", COLUMNS | {"amount": "DOUBLE"}).upsert([("orders", "2", None, "{}", "much")])
    assert "amount" not in {name for name, *_ in select("DESCRIBE orders")}


def test_a_table_that_stands_there_in_other_letters_is_the_same(file: Path, select: Select) -> None:
    Table(file, "Orders", COLUMNS | {"Amount": "DOUBLE"}).upsert([("orders", "1", None, "{}", "1")])
    Table(file, "orders", COLUMNS | {"amount": "DOUBLE"}).upsert([("orders", "2", None, "{}", "2")])
    assert select("SELECT amount FROM orders ORDER BY id") == [(1.0,), (2.0,)]
    with pytest.raises(UnavailableError, match="column_type"):
        Table(file, "orders", COLUMNS | {"AMOUNT": "BIGINT"}).upsert([("orders", "3", None, "{}", "3")])


def test_several_writes_at_once_take_turns(file: Path, select: Select) -> None:
    sink = DuckDBSink(DuckDBConfig(path=file, table="orders"), Context(fork="search"))
    batches = [
        [Event(b"{}", id="m", target=Target("orders", str(key), version)) for key in range(50)] for version in range(8)
    ]
    with ThreadPoolExecutor(4) as threads:
        assert [list(failures) for failures in threads.map(sink.write, batches)] == [[]] * 8
    assert select("SELECT count(*), min(version), max(version) FROM orders") == [(50, 7, 7)]
