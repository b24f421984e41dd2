"""Plugins of every port that do nothing, a registry that offers them, and a way to read a config written in a test."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from forkstream import (
    AsyncStage,
    AwsSettings,
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
    Plugin,
    Rate,
    Receipt,
    Refusal,
    Secret,
    Settings,
    Size,
    Source,
)
from forkstream.config.loading import Config, load_config
from forkstream.config.problem import InvalidConfigError, Problem
from forkstream.registry import Kind, Offer, Registry


class QueueConfig(Settings):
    queue: Annotated[str, Meta(description="the queue's name")]
    aws: AwsSettings = AwsSettings()


class Queue(Source[QueueConfig]):
    def __init__(self, config: QueueConfig, context: Context) -> None:
        super().__init__(config, context)
        self.ordered = config.queue.endswith(".fifo")

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        return []

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        return []

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        return []


class Named(Queue):
    """A queue whose settings may spell one place in several ways."""

    @property
    def identity(self) -> str:
        return self.config.queue.rpartition("/")[2]


class InMemoryConfig(Settings):
    size: int = 10


class InMemory(Source[InMemoryConfig]):
    receive = Queue.receive
    delete = Queue.delete
    hold = Queue.hold


class ScrubConfig(Settings):
    drop: Annotated[list[str], Meta(min_length=1)] = field(default_factory=lambda: ["card"])
    keep: str | list[str] = "all"


class Scrub(EventStage[ScrubConfig]):
    sanitizes: ClassVar[bool] = True

    def __call__(self, event: Event) -> Event | Drop:
        return event


class Enrich(AsyncStage[Settings]):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:
        return {event: event for event in events}


class CompressConfig(Settings):
    algorithm: Literal["zstd", "gzip", "none"] = "zstd"
    level: Annotated[int, Meta(ge=1, le=22)] = 3


class Compress(ObjectStage[CompressConfig]):
    compresses: ClassVar[bool] = True
    suffix = ".z"

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        return lambda payload: payload


class EncryptConfig(Settings):
    key: Secret
    cipher: str | None = None

    def __post_init__(self) -> None:
        if self.cipher == "rot13":
            raise ValueError("cipher rot13 is no cipher")


class Encrypt(ObjectStage[EncryptConfig]):
    encrypts: ClassVar[bool] = True
    suffix = ".e"

    def __init__(self, config: EncryptConfig, context: Context) -> None:
        super().__init__(config, context)
        if config.cipher == "none" and config.key:
            raise ValueError(f"cipher none takes no key, found {config.key}")
        if config.cipher == "crash":
            raise RuntimeError("no such cipher")

    prepare = Compress.prepare


class TlsConfig(Settings):
    verify: bool = True
    depth: int | None = None


class Shade(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


class BucketConfig(Settings):
    """One field of every type that a settings struct may have."""

    bucket: Annotated[str, Meta(description="the bucket's name", min_length=3, pattern="^[a-z.]+$")]
    prefix: str = ""
    part: Annotated[Size, Meta(ge=5 * 2**20)] = Size(8 * 2**20)
    patience: Duration = Duration(60)
    pace: Rate | None = None
    ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    price: Decimal = Decimal("0.1")
    count: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    token: Secret | None = None
    pin: Annotated[Secret, Meta(min_length=5)] | None = None
    even: Annotated[int, Meta(ge=0, lt=10, multiple_of=2)] = 0
    tls: bool | TlsConfig = True
    path: Path | None = None
    ports: tuple[int, ...] = ()
    names: frozenset[str] = frozenset()
    shade: Shade = Shade.LIGHT
    aws: AwsSettings = AwsSettings()


class Bucket(ObjectSink[BucketConfig]):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        return None


class TableConfig(Settings):
    table: str = "orders"


class Table(EventSink[TableConfig]):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return []


class OrderedTable(Table):
    ordered = True


class Embedded(Table):
    single_process: ClassVar[bool] = True


def offer(kind: Kind, name: str, plugin: type[Plugin[Any]]) -> Offer:
    return Offer(kind=kind, name=name, distribution="fakes", version="1.0", target=plugin.__name__, load=lambda: plugin)


def registry(*more: Offer) -> Registry:
    return Registry(
        [
            offer(Kind.SOURCE, "queue", Queue),
            offer(Kind.SOURCE, "named", Named),
            offer(Kind.SOURCE, "in-memory", InMemory),
            offer(Kind.STAGE, "scrub", Scrub),
            offer(Kind.STAGE, "enrich", Enrich),
            offer(Kind.STAGE, "compress", Compress),
            offer(Kind.STAGE, "encrypt", Encrypt),
            offer(Kind.SINK, "bucket", Bucket),
            offer(Kind.SINK, "table", Table),
            offer(Kind.SINK, "ordered-table", OrderedTable),
            offer(Kind.SINK, "embedded", Embedded),
            *more,
        ]
    )


def load(text: str, *, environ: Mapping[str, str] | None = None, more: Sequence[Offer] = (), **options: Any) -> Config:
    """Load a config's text as the file ``env:CONFIG``; its lines count from the first that is not empty."""
    given = {"CONFIG": textwrap.dedent(text).lstrip("\n"), **(environ or {})}
    return load_config("env:CONFIG", environ=given, registry=registry(*more), **options)


def found(text: str, **options: Any) -> list[Problem]:
    """The problems of a config that has some."""
    try:
        load(text, **options)
    except InvalidConfigError as error:
        return error.found
    raise AssertionError("no problem was found")


def messages(text: str, **options: Any) -> list[str]:
    """The same as ``path: message``."""
    return [f"{problem.path}: {problem.message}" for problem in found(text, **options)]


def sink_settings(settings: str, *, environ: Mapping[str, str] | None = None) -> Any:
    """Load a fork whose sink has these settings, a line each, and return them as they were read."""
    return load(_with_sink_settings(settings), environ=environ).plans[0].sink.config


def sink_problem(settings: str, *, environ: Mapping[str, str] | None = None) -> str:
    """The one problem of a fork whose sink has these settings."""
    (problem,) = messages(_with_sink_settings(settings), environ=environ)
    return problem.removeprefix("forks.one.sink.bucket.")


def _with_sink_settings(settings: str) -> str:
    start = "forks:\n  one:\n    source: {queue: {queue: q}}\n    sink:\n      bucket:\n        bucket: orders\n"
    return start + textwrap.indent(settings, " " * 8)


def one_fork(sink: str) -> str:
    """A config of one fork with this sink, in YAML's flow style."""
    return f"forks: {{one: {{source: {{queue: {{queue: q}}}}, sink: {sink}}}}}"
