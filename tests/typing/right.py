"""What a plugin's author writes, and a type checker must take: one plugin a port, and a suite for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Self, assert_type

from msgspec import Meta

from forkstream import (
    Advice,
    AsyncStage,
    Context,
    Drop,
    Duration,
    Event,
    EventSink,
    EventStage,
    Failure,
    Json,
    ObjectInfo,
    ObjectSink,
    ObjectStage,
    Payload,
    Receipt,
    Refusal,
    Settings,
    Source,
    Surroundings,
)
from forkstream.testing.conformance import (
    AsyncStageConformance,
    EventSinkConformance,
    EventStageConformance,
    ObjectSinkConformance,
    ObjectStageConformance,
    SourceConformance,
)
from forkstream.testing.make_events import make_events


class WebhookConfig(Settings):
    url: Annotated[str, Meta(description="where to post")]
    timeout: Annotated[Duration, Meta(description="how long to wait")] = Duration(10)


class Webhook(EventSink[WebhookConfig]):
    def __init__(self, config: WebhookConfig, context: Context) -> None:
        super().__init__(config, context)
        self.posted: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    def partition(self, event: Event) -> str:
        return event.group or ""

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        assert_type(fork.connected, bool)
        if fork.encrypted or self.config.url.startswith("https:"):
            return ()
        return [
            Advice(code="plain_http", found="http", why="anyone on the way can read it", do="use https", setting="url")
        ]

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        assert_type(self.config.url, str)
        assert_type(self.config.timeout, Duration)
        assert_type(events[0].data, Json)
        return [Failure.permanent(event, "refused") for event in events]


class Blocking(EventSink[WebhookConfig]):
    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class Stage(EventStage[Settings]):
    def __call__(self, event: Event) -> Event | Drop:
        return event.with_(data={"a": 1}) if event.body else Drop("empty")


class Narrow(EventStage[Settings]):
    def __call__(self, event: Event) -> Event:
        return event


class Enrich(AsyncStage[Settings]):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:
        return {event: event for event in events}


class Squeeze(ObjectStage[Settings]):
    suffix = ".sq"

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        return lambda payload: payload


class Bucket(ObjectSink[Settings]):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        assert_type(payload.data, bytes)


class Pipe(Source[Settings]):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        return []

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        return ()

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        return ()


class WebhookSuite(EventSinkConformance):
    def plugin(self) -> Webhook:
        return Webhook(WebhookConfig(url="http://127.0.0.1"), Context(fork="test"))

    def unusable(self) -> None:
        return None

    def refused_event(self) -> Event:
        return make_events(1)[0]

    def stored(self) -> Iterable[str]:
        return ["1"]


class StageSuite(EventStageConformance):
    def plugin(self) -> Stage:
        return Stage(Settings(), Context(fork="test"))


class EnrichSuite(AsyncStageConformance):
    def plugin(self) -> Enrich:
        return Enrich(Settings(), Context(fork="test"))


class SqueezeSuite(ObjectStageConformance):
    def plugin(self) -> Squeeze:
        return Squeeze(Settings(), Context(fork="test"))

    async def undo(self, payload: Payload, about: ObjectInfo) -> bytes:
        return payload.data


class BucketSuite(ObjectSinkConformance):
    def plugin(self) -> Bucket:
        return Bucket(Settings(), Context(fork="test"))


class PipeSuite(SourceConformance):
    def plugin(self) -> Pipe:
        return Pipe(Settings(), Context(fork="test"))

    def send(self, plugin: Source[Settings], events: Sequence[Event]) -> None:
        pass
