"""``forkstream dlq``: the dead letters of a fork, wherever they were written."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, TypeAlias

import anyio
import typer

from forkstream.assembly import flow_of
from forkstream.cli import dlq_view as view
from forkstream.cli.options import ConfigArgument, JsonOption, PluginOption
from forkstream.config.loading import Config, load_config
from forkstream.control import control_of
from forkstream.dlq.entry import Entry
from forkstream.dlq.letter_id import is_letter_id
from forkstream.dlq.mending import mended
from forkstream.dlq.newest import Newest
from forkstream.dlq.open_store import open_store
from forkstream.dlq.redrive import Redrive
from forkstream.dlq.selection import Selection
from forkstream.dlq.store import Store
from forkstream.errors import CommandError
from forkstream.letters import Letter
from forkstream.ports import Switches
from forkstream.registry import Registry
from forkstream.settings import Duration
from forkstream.ulid import ulid

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")

OneForkOption: TypeAlias = Annotated[
    str, typer.Option("--fork", metavar="NAME", help="The fork whose dead letters are meant.", show_default=False)
]
WhichArgument: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG|LETTER",
        help="The config, as every command takes it, and letters by the ids that `dlq list` shows.",
        show_default=False,
    ),
]
CodeOption: TypeAlias = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only letters that failed with this code.")
]
SinceOption: TypeAlias = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only letters written within this time: 90m, 14d.")
]
ClaimsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--claims",
        metavar="PLACE",
        help="Where claims on a queue's letters are kept: a directory, or s3://bucket/prefix to share them with "
        "other operators. Left out: a directory of this user. Letters in s3 and file have theirs beside them.",
    ),
]


@app.callback()
def dlq() -> None:
    """Dead letters: events that a fork could not get through, kept where someone can mend them and send them again."""


@app.command("list")
def list_(
    config: ConfigArgument = None,
    *,
    fork: OneForkOption,
    code: CodeOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many, the newest.")] = 100,
    claims: ClaimsOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """List a fork's dead letters, the newest first: what failed where and when, and how it stands. Never a body.

    A queue's letters can only be sampled, and that counts as a receive of each. Exits with 1 if something could not
    be read.

    [bold]Examples[/]

    forkstream dlq list --fork search

    forkstream dlq list deploy/ecommerce.yaml --fork search --since 1h --code mapper_parsing_exception --json
    """
    selection = Selection(fork=fork, code=code, since=_since(since))
    loaded = _load(config, fork, plugin)

    async def look() -> Newest:
        newest = Newest(limit)
        async with open_store(loaded.plans[0], run=ulid(), claims=claims) as store:
            with view.progress(f"looking in {store.name}", shown=not json):
                await newest.gather(store, selection)
        if json:
            view.print_json(view.list_json(newest, fork, store))
        else:
            view.show_list(newest, now=time.time())
            view.warn(*store.notes)
        return newest

    if anyio.run(look).unreadable:
        raise typer.Exit(1)


@app.command()
def show(
    which: WhichArgument = None,
    *,
    fork: OneForkOption,
    body: Annotated[
        bool, typer.Option("--body", help="Only the body, byte for byte: a start for a mended one.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it to a new file, for its owner's eyes alone.")
    ] = None,
    claims: ClaimsOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Show one dead letter whole: why it failed, and the event's body, which may hold what nobody else should see.

    A body that is JSON is shown as JSON; with --json the letter stands as it was written, its body a string.

    [bold]Examples[/]

    forkstream dlq show --fork search 01JDBX3QHK7Z0V5T1W2Y3Z4A5B

    forkstream dlq show deploy/ecommerce.yaml 01JDBX3QHK7Z0V5T1W2Y3Z4A5B --fork search --body --output mended.json
    """
    config, letters = _split(which)
    if len(letters) != 1:
        raise CommandError(
            f"expected one letter by its id, found {len(letters)}; `forkstream dlq list` shows the ids{_taken_for(config)}"
        )
    loaded = _load(config, fork, plugin)

    async def find() -> bytes:
        async with open_store(loaded.plans[0], run=ulid(), claims=claims) as store:
            entry = await _entry(store, Selection(fork=fork, letters=frozenset(letters)))
            content = entry.letter.to_event().body if body else await view.whole(entry, store, exact=json)
        view.warn(*store.notes)
        return content

    content = anyio.run(find)
    if output is not None:
        _write_new(output, content)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


@app.command()
def redrive(
    which: WhichArgument = None,
    *,
    fork: OneForkOption,
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
    config, letters = _split(which)
    if bool(letters) == all_:
        raise CommandError(
            f"say which letters: by their ids, or --all, which --code and --since narrow{_taken_for(config)}"
        )
    if body is not None and len(letters) != 1:
        raise CommandError(f"--body mends one letter, found {len(letters)}")
    selection = Selection(fork=fork, letters=frozenset(letters), code=code, since=_since(since))
    mend = _mending(body)
    switches, run = Switches(), ulid()
    loaded = _load(config, fork, plugin, run, switches)

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
        missing = selection.letters - {result.letter for result in report.results}
        if missing and not report.trouble:
            raise CommandError(f"no such letter in {store.name}: {', '.join(sorted(missing))}")
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


async def _entry(store: Store, selection: Selection) -> Entry:
    unreadable = []
    async with aclosing(store.find(selection)) as found:
        async for one in found:
            if isinstance(one, Entry):
                return one
            unreadable.append(one)
    view.warn_unreadable(unreadable)
    raise CommandError(f"no such letter in {store.name}: {', '.join(selection.letters)}")


async def _learn_switches(loaded: Config, switches: Switches) -> None:
    """Let plugins find their switches as they stand for the service."""
    if loaded.file.control is not None:
        desired = await control_of(loaded.file.control, loaded.file.aws).read()
        switches.states.update(desired.switches)


def _load(
    config: str | None, fork: str, plugin: list[Path] | None, run: str = "run", switches: Switches | None = None
) -> Config:
    return load_config(config, forks=[fork], registry=Registry.installed(plugin or ()), run=run, switches=switches)


def _split(which: list[str] | None) -> tuple[str | None, list[str]]:
    """Tell the config from the letters: no place of a config looks like a letter's id."""
    letters = [each for each in which or () if is_letter_id(each)]
    others = [each for each in which or () if not is_letter_id(each)]
    if len(others) > 1:
        raise CommandError(f"expected one config and letters by their ids, found {', '.join(others)}")
    return (others[0] if others else None), letters


def _taken_for(config: str | None) -> str:
    """Name what was meant as a letter's id, perhaps, and is none."""
    return f"; {config} has not the shape of an id and was taken for the config" if config else ""


def _since(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return time.time() - Duration.parse(text)
    except ValueError as error:
        raise CommandError(f"--since: {error}") from None


def _mending(body: Path | None) -> Callable[[Letter], Letter] | None:
    if body is None:
        return None
    content = body.read_bytes()
    return lambda letter: mended(letter, content)


def _write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
