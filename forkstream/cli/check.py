"""``forkstream check``: everything that would keep a config from running, and what will hurt, before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import anyio
import msgspec
import typer

from forkstream.cgroup import Cgroup, workers_for
from forkstream.cli.options import ConfigArgument, ForkOption, JsonOption, PluginOption
from forkstream.config.inspection import Inspection
from forkstream.config.limits_advice import Site
from forkstream.config.loading import Config, load_config
from forkstream.config.plan import Plan
from forkstream.config.problem import InvalidConfigError, Problem
from forkstream.config.warning import ConfigWarning
from forkstream.errors import CommandError
from forkstream.registry import Registry
from forkstream.settings import Rate, Size


def check(
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    workers: Annotated[
        str, typer.Option(metavar="NUMBER", help="How many worker processes it is meant for; auto is one a processor.")
    ] = "1",
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Memory that they share; left out, what this container is allowed.", show_default=False
        ),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Events a second of each fork that it is meant for, as 500/s.")
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask each queue, bucket, key, table and index too; leaves nothing behind.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail it too.")] = False,
    json: JsonOption = False,
) -> None:
    """Check a config: every problem of the file and the environment at once, sorted by place, and what will hurt.

    Exits with 0 if it can run, 2 if it has problems, and 1 if something that it names cannot be used (--connect) or,
    with --strict, if there is a warning. Some warnings take a look at the queue, bucket or topic: --connect.

    [bold]Examples[/]

    forkstream check

    forkstream check deploy/forkstream.yaml --fork search --connect

    forkstream check s3://config/forkstream.yaml --strict --json

    forkstream check --workers 4 --memory 2GiB --rate 10000/s
    """
    site = _site(workers, memory, rate)
    try:
        loaded = load_config(
            config, forks=fork or (), registry=Registry.installed(plugin or ()), workers=site.workers, run="check"
        )
    except InvalidConfigError as error:
        _show_problems(error.found, json=json)
        raise typer.Exit(2) from None
    inspection = Inspection(loaded, site=site, connect=connect)
    anyio.run(inspection.run)
    ok = not (inspection.findings or (strict and inspection.warnings))
    if json:
        _print_json(_as_json(loaded, inspection, ok=ok, connect=connect))
    else:
        _show(loaded, inspection, connect=connect, strict=strict)
    if not ok:
        raise typer.Exit(1)


def _site(workers: str, memory: str | None, rate: str | None) -> Site:
    option = "--workers"
    try:
        count = workers_for(workers)
        option = "--memory"
        usable = Size.parse(memory) if memory else Cgroup().memory()
        option = "--rate"
        return Site(workers=count, memory=usable, rate=Rate.parse(rate) if rate else None)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None


def _show_problems(problems: list[Problem], *, json: bool) -> None:
    if json:
        rows = [{"path": each.path, "message": each.message, **msgspec.to_builtins(each.place)} for each in problems]
        _print_json({"ok": False, "problems": rows})
        return
    for problem in problems:
        print(problem)
    print(f"\n{_counted(len(problems), 'problem')}")


def _as_json(loaded: Config, inspection: Inspection, *, ok: bool, connect: bool) -> dict[str, Any]:
    forks = [{"name": plan.name, "steps": [step for step, _ in plan.steps]} for plan in loaded.plans]
    warnings, unanswered = map(_rows, (inspection.warnings, inspection.unanswered))
    asked = {"findings": inspection.findings} if connect else {}
    return {"ok": ok, "forks": forks, "warnings": warnings, **asked, "unanswered": unanswered}


def _rows(warnings: list[ConfigWarning]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = msgspec.to_builtins(warnings)
    return [{**row.pop("place"), **row} for row in rows]


def _show(loaded: Config, inspection: Inspection, *, connect: bool, strict: bool) -> None:
    width = max(len(plan.name) for plan in loaded.plans)
    for plan in loaded.plans:
        print(f"{plan.name:<{width}}  {_flow(plan)}")
        for line in _troubles(plan.name, inspection):
            print(f"{'':<{width}}  {line}")
    print()
    for warning in inspection.warnings:
        print(warning)
    if inspection.warnings:
        print()
    warned = f", {_counted(len(inspection.warnings), 'warning')}" if inspection.warnings else ""
    if inspection.findings:
        print(f"{loaded.document}: in order, but {len(inspection.findings)} of its plugins cannot work now{warned}")
    elif strict and inspection.warnings:
        print(f"{loaded.document}: in order, but --strict refuses {_counted(len(inspection.warnings), 'warning')}")
    else:
        print(f"{loaded.document}: ok{', and everything that it names can be used' if connect else ''}{warned}")


def _troubles(fork: str, inspection: Inspection) -> Iterator[str]:
    for each in inspection.findings:
        if each.fork == fork:
            yield f"{each.step}: {each.code}{f' ({each.detail})' if each.detail else ''}"
            if each.do:
                yield f"    → {each.do}"
    for advice in inspection.unanswered:
        if advice.fork == fork:
            yield f"{advice.path.partition(f'.{fork}.')[2]}: not looked at: {advice.found}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def _flow(plan: Plan) -> str:
    """``sqs → sanitize → compress → s3, dead letters: encrypt → s3``."""
    main = " → ".join(step.split(".")[-1] for step, _ in plan.steps if not step.startswith("dead_letter."))
    dead = " → ".join(step.split(".")[-1] for step, _ in plan.steps if step.startswith("dead_letter."))
    return main + (f", dead letters: {dead}" if dead else "") + (", paused" if plan.settings.paused else "")


def _print_json(value: dict[str, Any]) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
