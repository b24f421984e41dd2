"""The conformance suite over the OpenSearch sink, on a real server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from forkstream.demo.embedded_aws import free_port
from forkstream.event import Event, Json
from forkstream.sinks.opensearch import OpenSearchSink
from forkstream.testing.conformance import EventSinkConformance
from forkstream.testing.make_events import make_events
from tests.integration.opensearch_kit import found, sink, stock_client


class TestOpenSearchSink(EventSinkConformance):
    @pytest.fixture(autouse=True)
    def index(self, opensearch: str, unique: str) -> None:
        self.url = opensearch
        self.name = unique

    def plugin(self) -> OpenSearchSink:
        return sink(self.url)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"url": "ftp://x"}, {"url": self.url, "max_request": "0B"}]

    def unreachable(self) -> OpenSearchSink:
        return sink(f"http://127.0.0.1:{free_port()}")

    def unusable(self) -> OpenSearchSink:
        self.name += "-blocked"
        with stock_client(self.url) as client:
            client.indices.create(
                index=self.name, body={"settings": {"index.blocks.write": True, "number_of_replicas": 0}}
            )
        return sink(self.url, index=self.name)

    def events(self, count: int, *, start: int = 0) -> Sequence[Event]:
        return make_events(count, start=start, index=self.name)

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711, index=self.name)
        return event.with_(body=b'{"cut off')

    def stored(self) -> Iterable[str]:
        with stock_client(self.url) as client:
            return list(found(client, self.name))
