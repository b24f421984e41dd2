"""``forkstream bench``: how fast it is, on this machine."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from forkstream.bench.bench import Bench
from forkstream.bench.comparison import compare as comparison
from forkstream.bench.comparison import doubts, read_report
from forkstream.bench.measure import Timing
from forkstream.bench.order import Order
from forkstream.bench.page import page
from forkstream.bench.scenario import DEFAULT, SCENARIOS
from forkstream.bench.stub.weather import Climate
from forkstream.bench.text import show
from forkstream.bench.view import View
from forkstream.cli.options import ForkOption, JsonOption, PluginOption
from forkstream.config.problem import did_you_mean
from forkstream.errors import CommandError
from forkstream.settings import Duration, Quantity, Rate

_REPEATS = 3
_PATIENCE = 30.0
"""With no arguments there is a figure within a minute, also where other work takes most of the machine."""


def bench(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[SCENARIO|CONFIG]",
            help=f"One of {', '.join(SCENARIOS)}; or a config as `forkstream run` takes it, with every endpoint turned to the stub.",
            show_default=DEFAULT,
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every scenario beside its target.")] = False,
    external: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Measure this command instead; $BENCH_QUEUE_URL and others say where."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    rate: Annotated[
        str | None,
        typer.Option(help="An open loop of so many messages: 5000/s. Ages count from their sending, come what may."),
    ] = None,
    latency: Annotated[
        str, typer.Option(help="Median time that every answer takes; 1 % take three times as long.")
    ] = "0s",
    sink_latency: Annotated[str, typer.Option(help="More of it for all but SQS: a slow destination.")] = "0s",
    errors: Annotated[float, typer.Option(min=0, max=0.9, help="Share of requests, and of entries, that fail.")] = 0.0,
    throttle: Annotated[float, typer.Option(min=0, max=0.9, help="Share of requests that are throttled.")] = 0.0,
    deal: Annotated[
        int | None, typer.Option(min=1, max=10, help="Receives bring a random number of 1 to so many messages.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="TLS to every service; with --all in a column beside.")] = False,
    duration: Annotated[str, typer.Option(help="How long each repeat is measured.")] = "5s",
    warm_up: Annotated[str, typer.Option(help="How long it runs before anything counts.")] = "2s",
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="Fresh processes that are measured.", show_default="3, fewer on a busy machine"),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bodies to deal, one a line, instead of made-up orders.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="A setting: forks.backup.batch.max_age=1s; repeatable."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(metavar="PATH=VALUES", help="Try each: forks.backup.batch.max_bytes=1MiB,5MiB,16MiB."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Say what changed since an earlier report, made by --json.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots; it needs nothing else.")
    ] = None,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    profile: Annotated[bool, typer.Option(help="Also say where the time goes, by a run under a profiler.")] = True,
    json: JsonOption = False,
) -> None:
    """Measure messages a second, CPU, memory and age, on this machine and without AWS.

    A stub of SQS, S3, DynamoDB, KMS and OpenSearch deals orders as fast as they are taken, and the service runs
    against it as it ships, in a process of its own. CPU a message is the figure to trust on a machine with other work.

    [bold]Examples[/]

    forkstream bench

    forkstream bench --all

    forkstream bench forkstream.yaml --fork storage-backup --set forks.storage-backup.batch.max_bytes=16MiB

    forkstream bench search --rate 5000/s --latency 20ms --html report.html

    forkstream bench backup --sweep forks.backup.batch.max_bytes=1MiB,5MiB,16MiB

    forkstream bench --json > before.json; forkstream bench --compare before.json

    forkstream bench --external 'python tests/bench/peers/boto3_loop.py'
    """
    if every and subject:
        raise CommandError(f"--all measures every scenario: leave out {subject}, or --all")
    if sweep and (every or external):
        raise CommandError("--sweep varies a setting of one scenario or config: leave out --all and --external")
    if external and (every or subject):
        raise CommandError("--external measures a command: leave the scenario out")
    if fork and (every or external or subject is None or subject in SCENARIOS):
        raise CommandError("--fork picks forks of a config: name one, such as `forkstream bench my.yaml --fork NAME`")
    if subject:
        _know(subject)
    order = Order(
        subjects=tuple(SCENARIOS) if every else (subject or DEFAULT,),
        external=external,
        workers=workers,
        rate=None if rate is None else _read(Rate, "--rate", rate),
        climate=Climate(
            latency=_read(Duration, "--latency", latency),
            sink_latency=_read(Duration, "--sink-latency", sink_latency),
            errors=errors,
            throttle=throttle,
        ),
        tls=tls and not every,
        tls_beside=tls and every,
        deal=deal,
        timing=Timing(_read(Duration, "--warm-up", warm_up), _measured(duration)),
        repeats=repeats or _REPEATS,
        patience=_PATIENCE if repeats is None else float("inf"),
        events=events,
        settings=tuple(setting or ()),
        sweep=None if sweep is None else _swept(sweep),
        forks=tuple(fork or ()),
        plugins=tuple(plugin or ()),
        profile=profile,
        command=shlex.join(["forkstream", *sys.argv[1:]]),
    )
    if html is not None:
        _check_writable(html)
    before = None if compare is None else read_report(compare)  # a wrong file is told of before the minutes are spent
    report = Bench(order, View(silent=json)).run()
    changes = comparison(before, report) if before else []
    if html is not None:
        _write(html, page(report, changes))
    if json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        # a pipe has no width of its own
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        show(report, console, changes, list(doubts(before, report)) if before else [])


def _know(subject: str) -> None:
    """Refuse what is neither a scenario nor anything that could be a config."""
    near = did_you_mean(subject, SCENARIOS) or f"; scenarios: {', '.join(SCENARIOS)}"
    if subject not in SCENARIOS and re.fullmatch(r"[A-Za-z-]+", subject) and not Path(subject).exists():
        raise CommandError(f"{subject}: no scenario, and no file of a config{near}")


def _measured(text: str) -> float:
    seconds = _read(Duration, "--duration", text)
    if not seconds:
        raise CommandError(f"--duration: expected more than nothing, such as 5s, found {text!r}")
    return seconds


def _check_writable(path: Path) -> None:
    """Before the minutes are spent."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "a directory" if path.is_dir() else "no place that can be written to"
        raise CommandError(f"--html: {path} is {why}: name a file in a directory that exists")


def _swept(text: str) -> tuple[str, tuple[str, ...]]:
    path, equals, values = text.partition("=")
    found = tuple(value.strip() for value in values.split(",") if value.strip())
    if not equals or len(found) < 2:
        raise CommandError(
            f"--sweep: expected a setting and values such as forks.backup.batch.max_bytes=1MiB,5MiB, found {text!r}"
        )
    return path.strip(), found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"--html: {path}: {error.strerror}") from None


def _read(kind: type[Quantity], option: str, text: str) -> float:
    try:
        return float(kind.parse(text))  # type: ignore[attr-defined]  # every quantity has it
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None
