"""What stands in a config file: one struct a section, which checks, defaults and documents it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forkstream.formats import Format, FormatName, FormatSettings
from forkstream.ports import Plugin
from forkstream.registry import Kind
from forkstream.settings import AwsSettings, Duration, Secret, Settings, Size


class Step(msgspec.Struct, frozen=True, eq=False):
    """A plugin where a config names it, ``{s3: {bucket: orders}}`` or the bare name, with its settings read."""

    kind: Kind
    name: str
    path: str
    """Where it stands: ``forks.storage-backup.stages[1].compress``."""
    plugin: type[Plugin[Settings]]
    settings: Settings | None
    """None if they have a problem, which only happens while problems are gathered."""


_NAME = "a name of lower-case letters and digits, a letter first, in words joined by - or _, such as storage-backup"

SourceStep = Annotated[Step, Kind.SOURCE]
StageStep = Annotated[Step, Kind.STAGE]
SinkStep = Annotated[Step, Kind.SINK]


class FormatChoice(Settings):
    """A format with its settings: ``{ndjson: {envelope: true}}``."""

    ndjson: Annotated[FormatSettings | None, Meta(description="one event a line")] = None
    json: Annotated[FormatSettings | None, Meta(description="one array of events")] = None

    def __post_init__(self) -> None:
        if (self.ndjson is None) == (self.json is None):
            raise ValueError("expected one format, ndjson or json, with its settings below it")

    @classmethod
    def of(cls, format_: FormatName | FormatChoice) -> Format:
        """Build the format that was chosen, by its name alone or with settings."""
        if isinstance(format_, str):
            return Format(format_)
        return Format("ndjson", format_.ndjson) if format_.ndjson else Format("json", format_.json)


class BatchSettings(Settings):
    """What closes a batch. A limit left out starts as the one that suits the sink and is tuned where that pays."""

    max_events: Annotated[int, Meta(description="events", ge=1)] | None = None
    max_bytes: Annotated[Size | None, Meta(description="bytes of bodies after the event stages", ge=1)] = None
    max_age: Annotated[Duration | None, Meta(description="time since the batch was opened")] = None
    target_object: Annotated[
        Size, Meta(description="bytes as stored that objects are aimed at, where max_bytes is left out", ge=1)
    ] = Size(16 * 2**20)
    max_open: Annotated[int, Meta(description="partitions gathered at once; one more closes the fullest", ge=1)] = 100


class BudgetSettings(Settings):
    """What a fork may hold between receive and settlement, in one worker: the only back-pressure."""

    max_events: Annotated[
        int, Meta(description="events in flight; SQS allows 120,000 a queue over all consumers", ge=1)
    ] = 20_000
    max_bytes: Annotated[
        Size | None, Meta(description="bytes in flight; left out: the fork's share of `memory`", ge=1)
    ] = None


class RetrySettings(Settings):
    """How long a failed write is tried again in place, and what becomes of its events then."""

    max_elapsed: Annotated[
        Duration, Meta(description="how long a write is tried again with its events held", le=7200)
    ] = Duration(300)
    then: Annotated[
        Literal["release", "dead"],
        Meta(description="release: back to the source with a growing back-off; dead: to the dead letters"),
    ] = "release"


class DeadLetterSettings(Settings):
    """Where events go that will never go through. Without it they stay with the source, which counts their receives."""

    sink: Annotated[SinkStep, Meta(description="where dead letters are written")]
    stages: Annotated[
        list[StageStep], Meta(description="object stages of their own: dead letters hold whole events")
    ] = msgspec.field(default_factory=list)
    max_ratio: Annotated[
        float,
        Meta(
            description="the share of dead events, of a minute's or of the last hundred, beyond which the fork halts instead",
            gt=0,
            le=1,
        ),
    ] = 0.1
    include_unsanitised: Annotated[
        bool, Meta(description="write what could not be sanitised too; needs a stage that encrypts")
    ] = False


class ForkSettings(Settings):
    """One fork: a source, the stages an event goes through, and a sink."""

    source: Annotated[SourceStep, Meta(description="where events come from")]
    sink: Annotated[SinkStep, Meta(description="where events go")]
    stages: Annotated[list[StageStep], Meta(description="event stages, then object stages, in their order")] = (
        msgspec.field(default_factory=list)
    )
    format: Annotated[
        FormatName | FormatChoice, Meta(description="how events become an object, for an object sink")
    ] = "ndjson"
    batch: BatchSettings = BatchSettings()
    budget: BudgetSettings = BudgetSettings()
    concurrency: Annotated[
        int | None,
        Meta(description="writes under way at once; left out: as many as the sink takes without slowing down", ge=1),
    ] = None
    write_timeout: Annotated[
        Duration, Meta(description="when an attempt at a write ends and counts as failed", gt=0)
    ] = Duration(60)
    retry: RetrySettings = RetrySettings()
    dead_letter: DeadLetterSettings | None = None
    paused: Annotated[bool, Meta(description="receive nothing until `forkstream resume`: the source buffers")] = False
    aws: AwsSettings = AwsSettings()


class AdminSettings(Settings):
    """The HTTP endpoint for health, metrics and the state of the forks."""

    host: Annotated[str, Meta(description="address to listen on; others than loopback are for trusted networks")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(description="port to listen on; 0 takes a free one", ge=0, le=65535)] = 8080
    socket: Annotated[str | None, Meta(description="path of a unix socket to listen on instead")] = None
    token: Annotated[Secret | None, Meta(description="what a caller must show to change anything")] = None


class LogSettings(Settings):
    """What is logged, and how. Never an event's content."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Annotated[
        Literal["auto", "console", "json"], Meta(description="auto: console on a terminal, else json")
    ] = "auto"


class ConfigFile(Settings):
    """The whole file."""

    forks: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$", description=_NAME)], ForkSettings],
        Meta(description="the forks by name", min_length=1),
    ]
    aws: AwsSettings = AwsSettings()
    memory: Annotated[
        Size | None,
        Meta(
            description="what the events in flight may take, over all workers and forks: half of a fork's share is its"
            " own, the rest is lent; left out: half of the container's memory",
            ge=1,
        ),
    ] = None
    control: Annotated[
        str | None,
        Meta(
            description="where the desired state lies that every worker follows: file:/path or ssm:/name",
            pattern=r"^(file:.+|ssm:/.+)$",
            examples=["file:/var/lib/forkstream/control.json", "ssm:/forkstream/control"],
        ),
    ] = None
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()
