"""``forkstream check``: everything that would keep a config from running, before it runs."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import msgspec
import typer

from forkstream.cli.options import ConfigArgument, ForkOption, JsonOption, PluginOption
from forkstream.config.loading import Config, load_config
from forkstream.config.plan import Plan
from forkstream.config.problem import InvalidConfigError, Problem
from forkstream.errors import DeliveryError
from forkstream.ports import Plugin
from forkstream.registry import Registry
from forkstream.settings import Settings

ANSWER_SECONDS = 30.0
"""How long one plugin may take to open and to ask what it needs."""


class Finding(msgspec.Struct, frozen=True):
    """What a plugin found when it asked the outside world whether it could work."""

    fork: str
    step: str
    code: str
    detail: str


def check(
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    workers: Annotated[int, typer.Option(min=1, help="How many worker processes it is meant for.")] = 1,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask each queue, bucket, key, table and index too; leaves nothing behind.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check a config: every problem of the file and the environment at once, sorted by place.

    Exits with 0 if it can run, 2 if it has problems, and 1 if something that it names cannot be used (--connect).

    [bold]Examples[/]

    forkstream check

    forkstream check deploy/forkstream.yaml --fork search --connect

    forkstream check s3://config/forkstream.yaml --json
    """
    try:
        loaded = load_config(
            config, forks=fork or (), registry=Registry.installed(plugin or ()), workers=workers, run="check"
        )
    except InvalidConfigError as error:
        _show_problems(error.found, json=json)
        raise typer.Exit(2) from None
    findings = anyio.run(_ask_all, loaded.plans) if connect else None
    _show(loaded, findings, json=json)
    if findings:
        raise typer.Exit(1)


async def _ask_all(plans: list[Plan]) -> list[Finding]:
    findings: list[Finding] = []

    async def ask_fork(plan: Plan) -> None:
        for step, plugin in plan.steps:
            problem = await _ask(plugin)
            if problem:
                findings.append(Finding(plan.name, step, *problem))

    async with anyio.create_task_group() as tasks:
        for plan in plans:
            tasks.start_soon(ask_fork, plan)
    order = [plan.name for plan in plans]
    return sorted(findings, key=lambda finding: order.index(finding.fork))


async def _ask(plugin: Plugin[Settings]) -> tuple[str, str] | None:
    """Open, ask, close; returns what is wrong as a code and its detail."""
    try:
        with anyio.fail_after(ANSWER_SECONDS):
            async with plugin:
                await plugin.check()
    except DeliveryError as error:
        return error.code, error.detail
    except TimeoutError:
        return "no_answer", f"no answer within {ANSWER_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001  # a stranger's plugin may raise anything; the others must still be asked
        return "unexpected", f"{type(error).__name__}: {error}"
    return None


def _show_problems(problems: list[Problem], *, json: bool) -> None:
    if json:
        rows = [{"path": each.path, "message": each.message, **msgspec.to_builtins(each.place)} for each in problems]
        _print_json({"ok": False, "problems": rows})
        return
    for problem in problems:
        print(problem)
    print(f"\n{len(problems)} problem{'s' if len(problems) > 1 else ''}")


def _show(loaded: Config, findings: list[Finding] | None, *, json: bool) -> None:
    if json:
        forks = [{"name": plan.name, "steps": [step for step, _ in plan.steps]} for plan in loaded.plans]
        asked = {} if findings is None else {"findings": findings}
        _print_json({"ok": not findings, "forks": forks, **asked})
        return
    width = max(len(plan.name) for plan in loaded.plans)
    for plan in loaded.plans:
        print(f"{plan.name:<{width}}  {_flow(plan)}")
        for finding in findings or ():
            if finding.fork == plan.name:
                print(
                    f"{'':<{width}}  {finding.step}: {finding.code}{f' ({finding.detail})' if finding.detail else ''}"
                )
    if findings:
        print(f"\n{loaded.document}: in order, but {len(findings)} of its plugins cannot work now")
    else:
        print(f"\n{loaded.document}: ok{'' if findings is None else ', and everything that it names can be used'}")


def _flow(plan: Plan) -> str:
    """``sqs → sanitize → compress → s3, dead letters: encrypt → s3``."""
    main = " → ".join(step.split(".")[-1] for step, _ in plan.steps if not step.startswith("dead_letter."))
    dead = " → ".join(step.split(".")[-1] for step, _ in plan.steps if step.startswith("dead_letter."))
    return main + (f", dead letters: {dead}" if dead else "") + (", paused" if plan.settings.paused else "")


def _print_json(value: dict[str, Any]) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
