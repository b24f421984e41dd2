"""``forkstream test``: cases beside a config, taken through its forks' real chains without any service."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import anyio
import msgspec
import typer

from forkstream.assembly import flow_of
from forkstream.aws.key_file import KeyFile
from forkstream.cli.options import ConfigArgument, ForkOption, JsonOption, PluginOption
from forkstream.config.document import DEFAULT, read_document
from forkstream.config.loading import load_document
from forkstream.config.problem import InvalidConfigError, Problems, did_you_mean
from forkstream.errors import CommandError, DeliveryError
from forkstream.flow.flow import Flow
from forkstream.registry import Registry
from forkstream.rehearsal.cases import Case, Written, read_cases
from forkstream.rehearsal.difference import Difference
from forkstream.rehearsal.judge import Judge
from forkstream.rehearsal.mistakes import place_of
from forkstream.rehearsal.rehearse import rehearse
from forkstream.rehearsal.stand_ins import TEST_KEY, Variables, with_test_keys, without_aws


class Verdict(msgspec.Struct, frozen=True):
    """One case: what differs from what it says, nothing if all is as it should be."""

    name: str
    fork: str
    ok: bool
    differences: list[Difference]


def run_cases(
    config: ConfigArgument = None,
    *,
    cases: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The cases. Left out: my.cases.yaml beside my.yaml.", show_default=False),
    ] = None,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Test a config: events go in, and documents, objects, drops and dead letters have to come out as its cases say.

    Everything between source and sink is real; neither of them is opened, and AWS is never called. Objects are read back
    and compared as documents: keys are exchanged for one that everybody knows, and so are secrets; a variable that the
    cases do not set stands for its own name. Events that a case does not mention must not come out anywhere.

    Exits with 0 if all is as it should be, 1 if a case fails, and 2 if the config or the cases cannot be read.

    [bold]Examples[/]

    forkstream test deploy/ecommerce.yaml

    forkstream test my.yaml --cases tests/my.cases.yaml --fork search --json
    """
    path = cases or _beside(config)
    written = read_cases(path)
    wanted = [case for case in written.file.cases if not fork or case.fork in fork]
    if not wanted:
        raise CommandError(f"{path} has no case of {' or '.join(fork)}" if fork else f"{path} has no case")
    verdicts = _verdicts(config, written, wanted, path.parent, plugin or ())
    if json:
        result = {"ok": all(one.ok for one in verdicts), "cases": verdicts}
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    else:
        _show(verdicts)
    if not all(one.ok for one in verdicts):
        raise typer.Exit(1)


def _beside(config: str | None) -> Path:
    location = Path(config or DEFAULT)
    if config is not None and (config == "-" or config.startswith(("env:", "s3://", "ssm:"))):
        raise CommandError(f"{config} has no directory in which cases could stand: name them with --cases")
    return location.with_name(f"{location.stem}.cases.yaml")


def _verdicts(
    config: str | None, written: Written, cases: Sequence[Case], directory: Path, plugins: Sequence[Path]
) -> list[Verdict]:
    document = read_document(config, os.environ)
    with without_aws(), TemporaryDirectory() as scratch:
        key_file = Path(scratch) / "test.key"
        key_file.write_bytes(TEST_KEY)
        variables = Variables(written.file.environment)
        loaded = load_document(document, registry=Registry.installed(plugins), environ=variables, ask=False)
        flows = {plan.name: flow_of(plan) for plan in loaded.plans}
        _know_their_forks(written, cases, flows, document.name)
        return [
            anyio.run(_judged, case, with_test_keys(flows[case.fork], key_file), key_file, directory) for case in cases
        ]


def _know_their_forks(written: Written, cases: Sequence[Case], known: Collection[str], config: str) -> None:
    problems = Problems()
    for number, case in enumerate(written.file.cases):
        if case in cases and case.fork not in known:
            near = did_you_mean(case.fork, known) or f"; known: {', '.join(known)}"
            at = place_of(written.root, "cases", number, "fork")
            problems.add(at, f"cases[{number}].fork", f"{config} has no fork {case.fork!r}{near}")
    if len(problems):
        raise InvalidConfigError(problems.sorted())


async def _judged(case: Case, flow: Flow, key_file: Path, directory: Path) -> Verdict:
    events = [given.event(number, directory) for number, given in enumerate(case.events, 1)]
    try:
        report = await rehearse(flow, events, pretend=True)
    except DeliveryError as error:
        raise CommandError(f"fork {case.fork} cannot be opened: {error.code} ({error.detail})") from None
    async with KeyFile(key_file) as key:
        judge = Judge(case, events, report, directory=directory, keys=[key], buries=flow.dead_letters is not None)
        differences = await judge.differences()
    return Verdict(case.name, case.fork, not differences, differences)


def _show(verdicts: Sequence[Verdict]) -> None:
    for one in verdicts:
        print(f"{'ok  ' if one.ok else 'FAIL'}  {one.fork}: {one.name}")
        for difference in one.differences:
            print(f"        {difference.where}")
            print(f"          - {difference.expected}")
            print(f"          + {difference.found}")
    failed = sum(not one.ok for one in verdicts)
    print(
        f"\n{len(verdicts)} case{'s' if len(verdicts) != 1 else ''}{f', {failed} failed' if failed else ', all as they should be'}"
    )
