"""The ports: what a plugin implements. These docstrings are the contract between the runtime and every plugin.

The runtime owns the flow, every retry and every acknowledgement. A plugin turns its input into its output and
says truthfully what failed; it never acknowledges, never sleeps to retry, never swallows an error.

    source ▶ event stages ▶ batcher ▶ format ▶ object stages ▶ object sink ▶ settlement ▶ source
                               └──────── events, no bytes ─────▶ event sink

Every plugin may raise the three kinds of :class:`~forkstream.errors.DeliveryError`; anything else that it
raises counts as a bug met by these events and is treated like a ``PermanentError`` of the whole call.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from forkstream.event import Drop, Event, Failure
from forkstream.settings import AwsSettings, Settings

PORTS_VERSION = 1
"""Raised when a port changes so that an existing plugin would break; additions with a default do not raise it.

What breaks one: a method or parameter renamed, removed or added without a default, another meaning of what is passed or
returned. It is raised only in a release that changes the first number of forkstream's version that is not 0, so that a
plugin which requires a range of releases (``forkstream>=0.1,<0.2``) never meets it. A plugin that says
``ports_version = 1`` itself is refused by every other version with a message, before the first event.
"""

Receipt: TypeAlias = Hashable
"""The source's handle for settling one event. Plugins other than the source never see one."""

C_co = TypeVar("C_co", bound=Settings, covariant=True)


class Switches:
    """Switches that an operator turns while the service runs (``forkstream switch NAME on``). Read them at each use."""

    def __init__(self, states: Mapping[str, bool] | None = None) -> None:
        self.states: dict[str, bool] = dict(states or {})

    def __call__(self, name: str, *, default: bool = False) -> bool:
        """Tell how the switch stands now; ``default`` while nobody has turned it."""
        return self.states.get(name, default)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime tells a plugin about where it stands.

    ``run`` names this run of the service; ``aws`` is the fork's AWS settings over the config's.
    """

    fork: str
    run: str = "run"
    aws: AwsSettings = AwsSettings()
    switches: Switches = msgspec.field(default_factory=Switches)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Steady traffic at one plugin, for an estimate of what it is billed for: all rates are per second.

    ``event_bytes`` is the mean size of a body, ``batches`` are writes, or objects. ``workers`` processes share all of it.
    """

    events: float
    event_bytes: float
    batches: float
    workers: int = 1

    def chunks(self, size: int, *, at_once: int = 1) -> float:
        """Count chunks of ``size`` bytes a second, begun ones too, when ``at_once`` events share a request."""
        return self.events / at_once * -(-self.event_bytes * at_once // size)


UNANSWERED = "unanswered"
"""The code of an :class:`Advice` that tells of a question that could not be asked, and is no warning."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can work and will hurt: ``forkstream check`` shows it as a warning.

    ``code`` is short, stable snake_case. ``found``, ``why`` (it hurts) and ``do`` are phrases for a person, each without
    a full stop. ``setting`` is the plugin's setting that it is about, dotted; empty for the plugin as a whole.
    """

    code: str
    found: str
    why: str
    do: str
    setting: str = ""

    @classmethod
    def unanswered(cls, question: str, answer: str) -> Self:
        """Tell, instead of advice, that a question could not be asked: ``the subscriptions``, ``denied (sns:…)``. It is no warning."""
        return cls(
            code=UNANSWERED,
            found=f"{question}: {answer}",
            why="so what is wrong there is not known",
            do="allow it to see more",
        )


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """A fork as one of its plugins sees it, for :meth:`Plugin.advise`."""

    connected: bool
    """Whether the outside world may be asked: the plugin is open, and its ``check`` found nothing wrong."""
    before: Sequence[Plugin[Settings]] = ()
    """The stages that an event, or its object, has passed when it comes to this plugin: of a dead letter's, both chains'."""
    after: Sequence[Plugin[Settings]] = ()
    """The stages that it has yet to pass."""
    format: str = "ndjson"
    """How events become an object: ``ndjson`` or ``json``."""
    longest_hold: float = 0.0
    """Seconds that an event may need from its receive until it is settled: its batch's age, and all patience with the sink."""

    @property
    def sanitized(self) -> bool:
        """Whether a stage before this plugin takes out what must not be stored: what is left may still be delicate."""
        return any(isinstance(stage, EventStage | AsyncStage) and stage.sanitizes for stage in self.before)

    @property
    def encrypted(self) -> bool:
        """Whether a stage before this plugin encrypts."""
        return any(isinstance(stage, ObjectStage) and stage.encrypts for stage in self.before)


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """IAM actions that a plugin needs on one resource: ``forkstream iam`` makes the least policy of them.

    ``resource`` is an ARN in which ``{partition}``, ``{region}`` and ``{account}`` stand for what is known only where
    the service runs. ``condition`` is IAM's. ``key_of`` names the service (``sqs``) that asks KMS on the plugin's
    behalf, where a customer's key encrypts what it stores; without a ``resource`` it is the operator who knows the
    key. ``aws`` says where and as whom the plugin asks.
    """

    actions: tuple[str, ...]
    resource: str = ""
    condition: Mapping[str, Mapping[str, str]] = {}
    key_of: str | None = None
    aws: AwsSettings = AwsSettings()


class Plugin(ABC, Generic[C_co]):
    """What all ports share. Derive from one of the ports below, with your settings: ``class Webhook(EventSink[WebhookConfig])``.

    ``__init__`` does no I/O and cannot fail for a reason outside the settings (raise ValueError for a combination of
    settings that cannot work: it is shown as a config error). ``__aenter__`` opens, ``__aexit__`` closes; the runtime
    enters a plugin once, before the first event, and exits it after the last one is settled, also after errors.
    """

    ports_version: ClassVar[int] = PORTS_VERSION
    single_process: ClassVar[bool] = False
    """True refuses a second worker process: the plugin owns something that only one process can hold."""
    switches: ClassVar[Collection[str]] = ()
    """The switches that it reads from its context, by name: ``forkstream switch`` warns of one that nobody reads."""

    def __init__(self, config: C_co, context: Context) -> None:
        self.config = config
        self.context = context

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def check(self) -> None:
        """Ask the outside world whether this plugin could work now, and leave nothing behind.

        Called by ``forkstream check --connect`` and by a halted fork before it tries again. Raise
        :class:`~forkstream.errors.UnavailableError` that names the missing permission or resource.
        """

    async def advise(self, fork: Surroundings) -> Collection[Advice]:  # noqa: ARG002
        """Warn of what would work and will hurt, where this plugin stands in this fork. Called by ``forkstream check`` alone.

        Ask the outside world only where ``fork.connected`` says so, change nothing there, and leave out what cannot be
        told without. A :class:`~forkstream.errors.DeliveryError` is shown as a question that was not answered.
        """
        return ()

    def billed(self, load: Load) -> Mapping[str, float]:  # noqa: ARG002
        """Say what the provider bills for this load: units a second by their name in the price list (``s3_put``). Pure.

        ``forkstream cost`` adds them up; a price list of one's own (``--prices``) can have other units.
        """
        return {}

    def permissions(self) -> Iterable[Permission]:
        """Say what its identity in AWS has to be allowed, ``check`` included, since a halted fork calls that. Pure."""
        return ()

    @classmethod
    def settings_type(cls) -> type[Settings]:
        """Find the settings struct in the class's bases: ``EventSink[WebhookConfig]`` gives ``WebhookConfig``."""
        for klass in cls.__mro__:
            for base in getattr(klass, "__orig_bases__", ()):
                origin = get_origin(base)
                if inspect.isclass(origin) and issubclass(origin, Plugin):
                    for argument in get_args(base):
                        if inspect.isclass(argument) and issubclass(argument, Settings):
                            return argument
        return Settings


class Refusal(msgspec.Struct, frozen=True):
    """One receipt that a source could not settle or hold. ``lost`` says that it never will: it has expired."""

    receipt: Receipt
    lost: bool
    code: str


class Backlog(msgspec.Struct, frozen=True):
    """What waits at a source, by its own estimate: events ready to be received, and events held by any consumer."""

    ready: int
    in_flight: int


class Source(Plugin[C_co]):
    """Where a fork's events come from: a queue that hides what it hands out until it is settled or its hold runs out."""

    ordered: bool = False
    """True if events of one ``group`` must be written in the order in which they are received."""
    hold_limit: float = float("inf")
    """Seconds after its receive beyond which no event can be held (SQS: 12 hours, see ChangeMessageVisibility)."""
    in_flight_limit: int | None = None
    """How many events all consumers together may hold (SQS: 120,000 a standard queue), None if there is no limit."""
    max_receive: int = 10
    """How many events one receive can bring (SQS: 10, see ReceiveMessage)."""
    damaged: int = 0
    """How many events it has left out since it was made, since they arrived damaged; counted by the source, shown as a metric."""
    max_settle: int = 10
    """How many events one request can settle or hide, for them to be packed (SQS: 10, see DeleteMessageBatch)."""

    @abstractmethod
    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        """Receive 1 to ``limit`` events, hidden from others for ``hold`` seconds; wait up to ``wait`` seconds for the first.

        Returns an empty sequence when there was none. Several receives may be under way at once. An event that
        arrived damaged (a wrong checksum) is left out: its hold runs out and it comes again.
        """

    @abstractmethod
    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        """Settle events for good. Returns those that were not settled; an error raised means: none of them was, ask again."""

    @abstractmethod
    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        """Hide events for ``seconds`` from now; 0 releases them at once. Returns the refused, raises as ``delete`` does."""

    async def backlog(self) -> Backlog | None:
        """Estimate what waits; None where the source cannot tell. Asked at most once a minute."""
        return None


class EventStage(Plugin[C_co]):
    """Event in, event out, or a decision to drop it. Synchronous and pure: no I/O, no state that outlives the event.

    A stage that is handed what it cannot process raises; it never returns None and never passes the event on
    unprocessed, since a later stage or the sink would take it for done.
    """

    sanitizes: ClassVar[bool] = False
    """True if what enters this stage must not be stored in the clear: its failures need an encrypted dead letter."""

    @property
    def attributes_named(self) -> Collection[str]:
        """Names of message attributes that its settings expect events to have: what a queue cannot deliver is warned of."""
        return ()

    @abstractmethod
    def __call__(self, event: Event) -> Event | Drop:
        """Turn one event into one event, or ``Drop(reason)``. Called once per event and receive, in the loop's thread."""


class AsyncStage(Plugin[C_co]):
    """An event stage that needs I/O: it takes a chunk of events at a time, before they are batched."""

    sanitizes: ClassVar[bool] = False

    @abstractmethod
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, Event | Drop | Failure]:
        """Say for each of the given events what becomes of it, keyed by the event given. An event left out is retried."""


class Payload(msgspec.Struct, frozen=True):
    """An object's bytes on the way to an object sink. ``metadata`` is stored beside them, where the sink can."""

    data: bytes
    content_type: str
    metadata: dict[str, str] = {}


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an object before its bytes are rendered. ``key`` is final: it has every suffix."""

    fork: str
    key: str
    events: int


class ObjectStage(Plugin[C_co]):
    """Bytes in, bytes out, once per object: compression, encryption, yours."""

    encrypts: ClassVar[bool] = False
    """True if nobody can read an object's content after this stage without a key."""
    compresses: ClassVar[bool] = False
    """True if this stage makes objects smaller: it has to stand before one that encrypts."""

    @property
    @abstractmethod
    def suffix(self) -> str:
        """What this stage adds to an object's key, with its dot: ``.zst``. Empty for none."""

    @abstractmethod
    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        """Do the I/O that one object needs (a data key), then return a pure function that the runtime calls in a worker thread."""


class BatchDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """The batch limits that suit a sink where the config gives none: a count, bytes of bodies, seconds.

    ``most_events`` lets the count grow so far while writes are fast, and shrink while they are slow or refused. Batches
    for an object sink find the count and bytes that its objects need.
    """

    max_events: int = 10_000
    max_bytes: int = 5 * 2**20
    max_age: float = 1.0
    most_events: int | None = None


class Sink(Plugin[C_co]):
    """Where a fork's events go: what event sinks and object sinks share."""

    ordered: bool = False
    """True if writing events in order makes them take effect in order, and once an event of a group failed, no later one
    of that group in the same call took effect (it is named in a failure too). An ordered source demands it."""
    batch_defaults: BatchDefaults = BatchDefaults()

    def partition(self, event: Event) -> str:  # noqa: ARG002
        """Name the destination part of this event: only events of one partition share a batch. Pure; called once per event."""
        return ""


class EventSink(Sink[C_co]):
    """Writes events: documents, rows, messages."""

    @abstractmethod
    def write(self, events: Sequence[Event]) -> Awaitable[Collection[Failure]] | Collection[Failure]:
        """Write a batch of one partition; return the events that failed. Events not named are durable when this returns.

        Write it as ``async def``, or as a plain ``def`` that blocks: the runtime calls that in a worker thread. Called
        with 1 event or more, several batches at once, and again with the same events after a failure or a crash: make
        it idempotent where the destination can be. It is cancelled when ``write_timeout`` is over, and the same events
        then come again. A whole-batch PermanentError, or an unexpected exception, makes the runtime halve the batch.
        """


class ObjectSink(Sink[C_co]):
    """Puts objects: a batch's bytes under one key, all or nothing. For this sink ``partition`` is the key's prefix, with its slash."""

    @abstractmethod
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        """Store the payload under ``key``, whole or not at all; durable when this returns.

        The same key always comes with the same payload. From ``attempt`` 2 on an earlier attempt's answer was lost
        or refused, so finding the object already there is success.
        """
