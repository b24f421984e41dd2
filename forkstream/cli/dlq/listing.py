"""``forkstream dlq list``: what has failed, where and why."""

from __future__ import annotations

import time
from typing import Annotated

import anyio
import typer

from forkstream.cli.dlq import view
from forkstream.cli.dlq.options import ClaimsOption, CodeOption, OneForkOption, SinceOption, load, moment_of
from forkstream.cli.options import ConfigArgument, JsonOption, PluginOption
from forkstream.dlq.newest import Newest
from forkstream.dlq.open_store import open_store
from forkstream.dlq.selection import Selection
from forkstream.ulid import ulid


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
    selection = Selection(fork=fork, code=code, since=moment_of(since))
    loaded = load(config, fork, plugin)

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
