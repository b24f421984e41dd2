"""The sink keeps every rule of its port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import pytest
from forkstream_duckdb.column import ColumnSettings
from forkstream_duckdb.sink import DuckDBConfig, DuckDBSink

from forkstream.event import Event, Json
from forkstream.ports import Context
from forkstream.testing.conformance import EventSinkConformance
from forkstream.testing.make_events import make_events

CONTEXT = Context(fork="test")


class TestDuckDBSink(EventSinkConformance):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def plugin(self) -> DuckDBSink:
        return self.at(self.directory / "analytics.duckdb")

    def at(self, path: Path) -> DuckDBSink:
        columns = {"number": ColumnSettings(path="id", type="BIGINT")}
        return DuckDBSink(DuckDBConfig(path=path, table="orders", columns=columns), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{"path": "x"}, {"path": "x", "table": "a b"}, {"path": "x", "table": "t", "columns": {"id": {}}}]

    def unreachable(self) -> None:
        return None

    def unusable(self) -> DuckDBSink:
        return self.at(self.directory / "missing" / "analytics.duckdb")

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        return make_events(count, start=start, index="orders")

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711, index="orders")
        return event.with_(body=b'{"id":"many"}')

    def stored(self) -> Iterable[str]:
        with duckdb.connect(self.directory / "analytics.duckdb", read_only=True) as connection:
            return [key for (key,) in connection.execute("SELECT id FROM orders").fetchall()]
