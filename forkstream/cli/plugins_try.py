"""``forkstream plugins try``: one stage or sink on sample events, and what came of each."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import anyio
import msgspec
import typer

from forkstream.assembly import flow_of
from forkstream.cli.options import JsonOption, PluginOption
from forkstream.config.document import Document, read_document
from forkstream.config.loading import load_document
from forkstream.config.problem import InvalidConfigError, did_you_mean
from forkstream.errors import CommandError, ConfigError, DeliveryError
from forkstream.event import Event
from forkstream.flow.flow import Flow
from forkstream.ports import ObjectStage, Plugin
from forkstream.registry import Kind, Registry
from forkstream.rehearsal.rehearse import rehearse
from forkstream.rehearsal.report import Failed, Report
from forkstream.rehearsal.sample import FORMS, read_sample
from forkstream.settings import Settings
from forkstream.testing.loop_watch import blocking_calls

_FORK = "try"


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one event. ``body`` is what a stage made of it; ``detail`` may quote it."""

    event: int
    id: str
    outcome: str
    reason: str = ""
    detail: str = ""
    body: str | None = None


class Object(msgspec.Struct, frozen=True):
    """An object that was made of the events: its size after all stages, and what is stored beside it."""

    key: str
    bytes: int
    content_type: str
    metadata: dict[str, str]


def try_(
    name: Annotated[str, typer.Argument(help="The plugin's name.", show_default=False)],
    config: Annotated[
        str,
        typer.Argument(metavar="[CONFIG]", help="Its settings: YAML, or the path of a YAML file.", show_default=False),
    ] = "",
    *,
    events: Annotated[str, typer.Option("--events", metavar="FILE", help=f"The events. {FORMS}", show_default=False)],
    kind: Annotated[Kind | None, typer.Option(help="Stage or sink, where a name is of both.")] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    r"""Try one stage or sink on sample events: what came of each, each tried once. A sink really writes.

    The settings are read as a config's are, and events go the way that they go in a fork: an object stage or sink gets
    NDJSON objects of them. Exits with 0 if every event was written, passed or dropped, else with 1.

    [bold]Examples[/]

    forkstream plugins try sanitize '{drop: \["payment.card-*"]}' --events orders.ndjson

    forkstream plugins try webhook webhook.yaml --events orders.envelope.ndjson.gz --json
    """
    registry = Registry.installed(plugin or ())
    kind = _kind(registry, name, kind)
    flow = _flow(registry, kind, name, config)
    watch = _LoopWatch(registry.find(kind, name))
    report, sample = anyio.run(_tried, flow, events, watch)
    fates = list(_fates(report, sample, of_a_stage=_of_a_stage(flow)))
    made = [
        Object(one.key, len(one.payload.data), one.payload.content_type, one.payload.metadata) for one in report.objects
    ]
    if json:
        print(msgspec.json.format(msgspec.json.encode({"events": fates, "objects": made}), indent=2).decode())
    else:
        _show(fates, made)
    for line in _hints(fates, watch.found):
        print(line, file=sys.stderr)
    if report.dead or report.kept:
        raise typer.Exit(1)


def _kind(registry: Registry, name: str, asked: Kind | None) -> Kind:
    kinds = [kind for kind in Kind if asked in (None, kind) and name in registry.names(kind)]
    candidates = [kind for kind in kinds if kind is not Kind.SOURCE]
    if len(candidates) > 1:
        raise CommandError(f"{name!r} is a stage and a sink: say which with --kind")
    if not candidates and kinds:
        raise CommandError(
            f"{name!r} is a source: it brings events and takes none; see what it brings with a fork whose sink is stdout"
        )
    if candidates:
        return candidates[0]
    if asked:
        registry.find(asked, name)  # which says what is known
    known = [*registry.names(Kind.STAGE), *registry.names(Kind.SINK)]
    near = did_you_mean(name, known) or f"; known: {', '.join(dict.fromkeys(known))}"
    raise CommandError(f"no stage or sink is called {name!r}{near}; one in a file is loaded with --plugin FILE")


def _flow(registry: Registry, kind: Kind, name: str, config: str) -> Flow:
    """Put the plugin into a fork of its own, through a config, so that its settings are read as ever."""
    file = Path(config)
    is_file = bool(config) and "\n" not in config and len(config) < 1000 and file.is_file()
    if not is_file and re.fullmatch(r"\S+\.(ya?ml|json)", config):
        raise CommandError(f"{config}: there is no such file; its settings can stand here too, as '{{name: value}}'")
    settings = (read_document(config, {}).text if is_file else config).strip() or "{}"
    if kind is Kind.SINK:
        lines = ["sink:", f"  {name}:", textwrap.indent(settings, "    ")]
    else:
        sink = "{file: {directory: .}}" if issubclass(registry.find(kind, name), ObjectStage) else "blackhole"
        lines = [f"sink: {sink}", "stages:", f"- {name}:", textwrap.indent(settings, "    ")]
    fork = textwrap.indent("\n".join(["source: memory", *lines]), "    ")
    document = Document(str(file) if is_file else "CONFIG", f"forks:\n  {_FORK}:\n{fork}\n")
    try:
        (plan,) = load_document(document, registry=registry).plans
    except InvalidConfigError as error:
        where = f"forks.{_FORK}."
        told = [(one.path.removeprefix(where) or document.name, one.message) for one in error.found]
        raise ConfigError([f"{path}: {message}" for path, message in told]) from None
    return flow_of(plan)


def _of_a_stage(flow: Flow) -> bool:
    return bool(flow.steps or flow.outlet.stages)


class _LoopWatch:
    """Notes where the plugin's own source holds up the loop between opening and closing; its libraries are not judged."""

    def __init__(self, plugin: type[Plugin[Settings]]) -> None:
        self._source = inspect.getsourcefile(plugin) or ""
        self.found: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with blocking_calls() as found:
            try:
                yield
            finally:
                self.found = [one for one in dict.fromkeys(found) if f" at {self._source}:" in one]


def _hints(fates: list[Fate], blocking: list[str]) -> Iterator[str]:
    """Say what an author should know besides, and do next."""
    if any(fate.reason.startswith("unexpected_") for fate in fates):
        yield (
            "unexpected_… is a bug of the plugin: it raises TransientError, PermanentError or UnavailableError and nothing "
            "else, and gives back what its port says"
        )
    for one in blocking:
        yield f"{one} held up the loop, and with it every fork: let it run in a thread, or use what can be awaited"


async def _tried(flow: Flow, location: str, watch: _LoopWatch) -> tuple[Report, list[Event]]:
    sample = await read_sample(location)
    try:
        return await rehearse(flow, sample, pretend=_of_a_stage(flow), watch=watch()), sample
    except DeliveryError as error:
        raise CommandError(f"it cannot be opened: {error.code}{f' ({error.detail})' if error.detail else ''}") from None


def _fates(report: Report, sample: list[Event], *, of_a_stage: bool) -> Iterator[Fate]:
    """One fate an event, in the order of the sample."""
    bodies = {one.number: one.event.body.decode(errors="replace") for one in report.written} if of_a_stage else {}
    fates = {
        number: Fate(number, "", "passed" if of_a_stage else "written", body=bodies.get(number))
        for number in report.done
    }
    fates |= {one.number: Fate(one.number, "", "dropped", one.reason) for one in report.dropped}
    for outcome, failures in (("dead", report.dead), ("again", report.kept)):
        fates |= {one.number: _failed(one, outcome) for one in failures}
    for number, event in enumerate(sample, 1):
        yield msgspec.structs.replace(fates[number], id=event.id)


def _failed(one: Failed, outcome: str) -> Fate:
    return Fate(one.number, "", outcome, one.code, one.detail)


def _show(fates: list[Fate], made: list[Object]) -> None:
    for fate in fates:
        reason = f" {fate.reason}" if fate.reason else ""
        print(f"{fate.id}: {fate.outcome}{reason}{f' ({fate.detail})' if fate.detail else ''}")
        if fate.body is not None:
            print(f"  {fate.body}")
    for one in made:
        print(f"{one.key}: {one.bytes} bytes, {one.content_type}")
        for name, value in one.metadata.items():
            print(f"  {name}: {value}")
    counts = {
        outcome: sum(fate.outcome == outcome for fate in fates) for outcome in dict.fromkeys(f.outcome for f in fates)
    }
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "no events")
