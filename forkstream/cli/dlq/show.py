"""``forkstream dlq show``: one dead letter whole."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import anyio
import typer

from forkstream.cli.dlq import view
from forkstream.cli.dlq.options import ClaimsOption, OneForkOption, OriginOption, WhichArgument, load
from forkstream.cli.dlq.which import Which
from forkstream.cli.options import JsonOption, PluginOption
from forkstream.dlq.entry import Entry
from forkstream.dlq.open_store import open_store
from forkstream.dlq.selection import Selection
from forkstream.dlq.store import Store
from forkstream.errors import CommandError
from forkstream.ulid import ulid


def show(
    which: WhichArgument = None,
    *,
    fork: OneForkOption,
    origin: OriginOption = None,
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

    forkstream dlq show --fork search 8a4b7c3e-52d1-4f6e-9b0a-1d2c3e4f5a6b

    forkstream dlq show deploy/ecommerce.yaml 01JDBX3QHK7Z0V5T1W2Y3Z4A5B --fork search --body --output mended.json
    """
    named = Which.parse(which, origin)
    count = len(named.letters) + len(named.origins)
    if count != 1:
        raise CommandError(
            f"expected one letter by its id, found {count}; `forkstream dlq list` shows the ids{named.doubt}"
        )
    loaded = load(named.config, fork, plugin)

    async def find() -> bytes:
        async with open_store(loaded.plans[0], run=ulid(), claims=claims) as store:
            entry = await _entry(store, named.selection(fork))
            content = entry.letter.to_event().body if body else await view.whole(entry, store, exact=json)
        view.warn(*store.notes)
        return content

    content = anyio.run(find)
    if output is not None:
        _write_new(output, content)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)


async def _entry(store: Store, selection: Selection) -> Entry:
    found, unreadable = [], []
    async with aclosing(store.find(selection)) as looking:
        async for one in looking:
            if isinstance(one, Entry):
                found.append(one)
            else:
                unreadable.append(one)
    if len(found) > 1:
        several = ", ".join(entry.letter.letter for entry in found)
        raise CommandError(f"this event has {len(found)} letters: {several}; say which one is meant")
    if not found:
        view.warn_unreadable(unreadable)
        raise CommandError(view.no_such_letter(store, selection.letters | selection.origins))
    return found[0]


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} is there already, and is left as it is: name another file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
