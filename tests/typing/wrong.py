"""What an author can get wrong, and a type checker must refuse: each ``type: ignore`` names the refusal that is due.

Unused ones are errors too, so this file is right only if each line of it is refused, and for that reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from forkstream import (
    Advice,
    AsyncStage,
    Attribute,
    Context,
    Drop,
    Duration,
    Event,
    EventSink,
    EventStage,
    Failure,
    ObjectInfo,
    ObjectSink,
    ObjectStage,
    Payload,
    Receipt,
    Refusal,
    Settings,
    Source,
    Surroundings,
    TransientError,
    UnavailableError,
)
from forkstream.testing.conformance import EventSinkConformance, EventStageConformance, ObjectStageConformance


class WebhookConfig(Settings):
    url: str
    timeout: Duration = Duration(10)


class MisspeltField(EventSink[WebhookConfig]):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        assert self.config.urll  # type: ignore[attr-defined]  # the settings have no such field
        return ()


class AdviceWithoutRemedy(EventSink[WebhookConfig]):
    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        return [Advice(code="odd", found="x", why="y")]  # type: ignore[call-arg]  # what to do is missing

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class AdviceInText(EventSink[WebhookConfig]):
    async def advise(self, fork: Surroundings) -> list[str]:  # type: ignore[override]  # advice has parts
        return ["use https"]

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class WrongFieldType(EventSink[WebhookConfig]):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        number: int = self.config.url  # type: ignore[assignment]  # it is a str
        assert number
        return ()


class AnswersPositions(EventSink[WebhookConfig]):
    async def write(self, events: Sequence[Event]) -> Collection[int]:  # type: ignore[override]  # failures name events
        return [0]


class AnswersNothing(EventSink[WebhookConfig]):
    async def write(self, events: Sequence[Event]) -> None:  # type: ignore[override]  # what failed has to be said
        return None


class TakesOne(EventSink[WebhookConfig]):
    async def write(self, events: Event) -> Collection[Failure]:  # type: ignore[override]  # a batch comes
        return ()


class EmptiesTheBatch(EventSink[WebhookConfig]):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        events.clear()  # type: ignore[attr-defined]  # the batch is the runtime's
        return ()


class PartitionByNumber(EventSink[WebhookConfig]):
    def partition(self, event: Event) -> int:  # type: ignore[override]  # a name is due
        return 1

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class AsyncPartition(EventSink[WebhookConfig]):
    async def partition(self, event: Event) -> str:  # type: ignore[override]  # it is called once per event, in the loop
        return ""

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class AsyncEventStage(EventStage[Settings]):
    async def __call__(self, event: Event) -> Event | Drop:  # type: ignore[override]  # I/O is an async stage's
        return event


class DropsByNone(EventStage[Settings]):
    def __call__(self, event: Event) -> Event | None:  # type: ignore[override]  # a drop has a reason
        return None


class ForgetsReturn(EventStage[Settings]):
    def __call__(self, event: Event) -> Event | Drop:  # type: ignore[return]  # one way ends without one
        event.with_(body=b"")


class SyncAsyncStage(AsyncStage[Settings]):
    def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:  # type: ignore[override]  # async is due
        return {}


class AnswersList(AsyncStage[Settings]):
    async def apply(self, events: Sequence[Event]) -> list[Event]:  # type: ignore[override]  # answers are keyed by event
        return list(events)


class SyncPrepare(ObjectStage[Settings]):
    suffix = ".x"

    def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:  # type: ignore[override]  # async is due
        return lambda payload: payload


class BytesToBytes(ObjectStage[Settings]):
    suffix = ".x"

    async def prepare(self, about: ObjectInfo) -> Callable[[bytes], bytes]:  # type: ignore[override]  # payloads go through
        return lambda data: data


class PutsWithoutAttempt(ObjectSink[Settings]):
    async def put(self, key: str, payload: Payload) -> None:  # type: ignore[override]  # the runtime says which attempt
        pass


class SyncPut(ObjectSink[Settings]):
    def put(self, key: str, payload: Payload, *, attempt: int) -> None:  # type: ignore[override]  # async is due
        pass


class NamesOfKeys(ObjectSink[Settings]):
    async def put(self, key: bytes, payload: Payload, *, attempt: int) -> None:  # type: ignore[override]  # keys are text
        pass


class SyncReceive(Source[Settings]):
    def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:  # type: ignore[override]  # async is due
        return []

    async def delete(self, receipts: Sequence[Receipt]) -> None:  # type: ignore[override]  # the refused have to be named
        return None

    async def hold(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:  # type: ignore[override]  # for how long?
        return ()


class ReturnsPayload(ObjectStage[Settings]):
    suffix = 1  # type: ignore[assignment]  # a text such as .zst

    async def prepare(self, about: ObjectInfo) -> Payload:  # type: ignore[override]  # the function that makes it is due
        return Payload(b"", "text/plain")


class SyncCheck(EventSink[WebhookConfig]):
    def check(self) -> bool:  # type: ignore[override]  # async is due, and an error instead of an answer
        return True

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class AsksOtherConfig(EventStage[WebhookConfig]):
    def __init__(self, config: Settings, context: Context) -> None:
        super().__init__(config, context)  # type: ignore[arg-type]  # its own settings are due

    def __call__(self, event: Event) -> Event | Drop:
        return Drop()  # type: ignore[call-arg]  # a drop has a reason


class PrivateVersion(EventStage[Settings]):
    ports_version = "1"  # type: ignore[assignment]  # a number

    def __call__(self, event: Event) -> Event | Drop:
        return event.data  # type: ignore[return-value]  # with_(data=…) makes the event


class Unfinished(EventSink[WebhookConfig]):
    pass


CONTEXT = Context(fork="test")
Unfinished(WebhookConfig(url=""), CONTEXT)  # type: ignore[abstract]  # it has no write
WebhookConfig(url="", timeuot=Duration(1))  # type: ignore[call-arg]  # misspelt
WebhookConfig("http://127.0.0.1")  # type: ignore[call-arg]  # fields go by name
WebhookConfig(url=1)  # type: ignore[arg-type]  # it is a str
WebhookConfig(url="", timeout="10s")  # type: ignore[arg-type]  # text is for config files
MisspeltField(Settings(), CONTEXT)  # type: ignore[arg-type]  # another plugin's settings
Failure.permanent(0, "refused")  # type: ignore[arg-type]  # a failure names the event, not its position
Failure.permanent(Event(b"", id="1"))  # type: ignore[call-arg]  # a code is due
TransientError()  # type: ignore[call-arg]  # here too
TransientError("throttled", retry_after="5s")  # type: ignore[arg-type]  # seconds
UnavailableError("missing", permission="s3:PutObject")  # type: ignore[call-arg]  # the detail names it
Event(b"", id="1").body = b"x"  # type: ignore[misc]  # events are immutable: with_(body=…)
Event(b"", id="1").attributes["a"] = Attribute("String", "x")  # type: ignore[index]  # with_(attributes=…)
Event("text", id="1")  # type: ignore[arg-type]  # bodies are bytes
Event(b"", id="1").with_(id="2")  # type: ignore[call-arg]  # an event stays who it is


class NotAPort(EventSink[int]):  # type: ignore[type-var]  # settings are a Settings struct
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return ()


class SuiteOfAnotherPort(EventStageConformance):
    def plugin(self) -> MisspeltField:  # type: ignore[override]  # a sink has a suite of its own
        return MisspeltField(WebhookConfig(url=""), CONTEXT)


class CountsStored(EventSinkConformance):
    def plugin(self) -> MisspeltField:
        return MisspeltField(WebhookConfig(url=""), CONTEXT)

    def stored(self) -> int:  # type: ignore[override]  # ids are due
        return 1

    def refused_event(self) -> Iterable[Event]:  # type: ignore[override]  # one event
        return []


class SyncUndo(ObjectStageConformance):
    def plugin(self) -> BytesToBytes:
        return BytesToBytes(Settings(), CONTEXT)

    def undo(self, payload: Payload, about: ObjectInfo) -> bytes:  # type: ignore[override]  # async is due
        return b""
