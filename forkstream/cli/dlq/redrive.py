"""``forkstream dlq redrive``: dead letters go again through their fork."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import anyio
import typer

from forkstream.assembly import flow_of
from forkstream.cli.dlq import view
from forkstream.cli.dlq.options import (
    ClaimsOption,
    CodeOption,
    OneForkOption,
    OriginOption,
    SinceOption,
    WhichArgument,
    load,
    moment_of,
)
from forkstream.cli.dlq.which import Which
from forkstream.cli.options import JsonOption, PluginOption
from forkstream.config.loading import Config
from forkstream.control import control_of
from forkstream.dlq.mending import mended
from forkstream.dlq.open_store import open_store
from forkstream.dlq.redrive import Redrive
from forkstream.dlq.selection import Selection
from forkstream.errors import CommandError
from forkstream.letters import Letter
from forkstream.ports import Switches
from forkstream.ulid import ulid


def redrive(
    which: WhichArgument = None,
    *,
    fork: OneForkOption,
    origin: OriginOption = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every letter of the fork that --code and --since leave.")
    ] = False,
    code: CodeOption = None,
    since: SinceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    body: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A mended body for the one letter that is given.")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Interrupted ones too. They may have been sent already: look first, and be sure that no other "
            "redrive is still at it.",
        ),
    ] = False,
    detail: Annotated[
        bool, typer.Option("--detail", help="Say in full why a letter failed again; that may quote the event.")
    ] = False,
    claims: ClaimsOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Send dead letters again through their fork, from the step that failed, none twice.

    Each letter is claimed, durably, before it is sent, so that no crash and no second operator sends it twice. A
    redrive that was cut off leaves letters interrupted: they are sent again only on request (--again). What fails again
    stays a letter; what was redriven is skipped. Ctrl-C ends what is under way in order, a second one at once. Exits
    with 1 unless every letter is through.

    [bold]Examples[/]

    forkstream dlq redrive --fork search --all --code mapper_parsing_exception --dry-run

    forkstream dlq redrive deploy/ecommerce.yaml 01JDBX3QHK7Z0V5T1W2Y3Z4A5B --fork search --body mended.json
    """
    named = Which.parse(which, origin)
    if named.any == all_:
        raise CommandError(
            f"say which letters: their ids, as `forkstream dlq list` shows them, or --all, narrowed by --code and --since{named.doubt}"
        )
    if body is not None and (len(named.letters) != 1 or named.origins):
        raise CommandError(f"--body mends one letter, by its own id; found {len(named.letters)}")
    selection = named.selection(fork, code, moment_of(since))
    mend = _mending(body)
    switches, run = Switches(), ulid()
    loaded = load(named.config, fork, plugin, run, switches)

    async def work() -> bool:
        await _learn_switches(loaded, switches)
        async with open_store(loaded.plans[0], run=run, claims=claims) as store:
            redriving = Redrive(flow_of(loaded.plans[0]), store, again=again, mend=mend)
            await _carry_out(redriving, selection, dry_run=dry_run, shown=not json)
        report = redriving.report
        if json:
            view.print_json(view.report_json(report, fork, store, detail=detail))
        else:
            view.show_report(report, detail=detail)
            view.warn(*store.notes)
        missing = selection.missing(report.results)
        if missing and not report.trouble:
            raise CommandError(view.no_such_letter(store, missing))
        return report.good

    if not anyio.run(work):
        raise typer.Exit(1)


async def _carry_out(redriving: Redrive, selection: Selection, *, dry_run: bool, shown: bool) -> None:
    with view.progress("redriving", shown=shown) as say:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_obey_signals, redriving, tasks.cancel_scope)
            tasks.start_soon(view.follow, redriving.report, say)
            await (redriving.look(selection) if dry_run else redriving.run(selection))
            tasks.cancel_scope.cancel()


async def _obey_signals(redriving: Redrive, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if redriving.report.trouble:
                view.warn("ended at once")
                scope.cancel()
                return
            redriving.report.trouble = "told to"
            redriving.stop()
            view.warn("ending what is under way; once more ends it at once and leaves it interrupted")


async def _learn_switches(loaded: Config, switches: Switches) -> None:
    """Let plugins find their switches as they stand for the service."""
    if loaded.file.control is not None:
        desired = await control_of(loaded.file.control, loaded.file.aws).read()
        switches.states.update(desired.switches)


def _mending(body: Path | None) -> Callable[[Letter], Letter] | None:
    if body is None:
        return None
    content = body.read_bytes()
    return lambda letter: mended(letter, content)
