"""The sink keeps every rule of its port."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from forkstream_postgres.sink import PostgresConfig, PostgresSink

from forkstream import Context, Event, Json, Secret
from forkstream.settings import Duration
from forkstream.testing.conformance import EventSinkConformance
from forkstream.testing.make_events import make_events


def sink(dsn: str, table: str = "orders") -> PostgresSink:
    columns = {"id": "id", "version": "id", "document": "$"}
    config = PostgresConfig(
        dsn=Secret(dsn), table=table, columns=columns, key=["id"], version="version", connect_timeout=Duration(2)
    )
    return PostgresSink(config, Context(fork="test"))


class TestPostgresSink(EventSinkConformance):
    @pytest.fixture(autouse=True)
    def place(self, dsn: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> Iterator[None]:
        self.dsn, self.ask = dsn, ask
        with socket.socket() as deaf:  # bound, so that nobody else listens there, and not listening
            deaf.bind(("127.0.0.1", 0))
            self.nobody = f"postgresql://test@127.0.0.1:{deaf.getsockname()[1]}/x"
            yield

    def plugin(self) -> PostgresSink:
        return sink(self.dsn)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        right: dict[str, Json] = {
            "dsn": "postgresql://x/y",
            "table": "t",
            "columns": {"id": "id", "v": "v"},
            "key": ["id"],
        }
        return [
            {},
            {**right, "dsn": "host=x"},
            {**right, "table": "a.b.c"},
            {**right, "columns": {}},
            {**right, "columns": {"id": "items[*]"}},
            {**right, "key": []},
            {**right, "key": ["other"]},
            {**right, "version": "other"},
            {**right, "version": "id"},
        ]

    def unreachable(self) -> PostgresSink:
        return sink(self.nobody)

    def unusable(self) -> PostgresSink:
        return sink(self.dsn, table="missing")

    def refused_event(self) -> Event:
        return make_events(1, start=4_711)[0].with_(data={"id": "many"})

    def stored(self) -> Iterable[str]:
        return [str(key) for (key,) in self.ask("SELECT document ->> 'id' FROM orders")]
