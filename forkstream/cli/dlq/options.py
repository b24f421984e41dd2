"""What the commands for dead letters have in common: arguments spelt alike, and the fork's part of the config."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from forkstream.config.loading import Config, load_config
from forkstream.errors import CommandError
from forkstream.ports import Switches
from forkstream.registry import Registry
from forkstream.settings import Duration

OneForkOption: TypeAlias = Annotated[
    str, typer.Option("--fork", metavar="NAME", help="The fork whose dead letters are meant.", show_default=False)
]
WhichArgument: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG|ID",
        help="The config, as every command takes it, and letters as `dlq list` shows them: by their own ids, or by the "
        "origin ids of their events, if those are UUIDs as all of SQS and SNS are.",
        show_default=False,
    ),
]
OriginOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--origin", metavar="ID", help="Letters of the event with this origin id, in any shape; repeatable."),
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


def load(
    config: str | None, fork: str, plugin: list[Path] | None, run: str = "run", switches: Switches | None = None
) -> Config:
    """Read the config as far as this fork needs it."""
    return load_config(config, forks=[fork], registry=Registry.installed(plugin or ()), run=run, switches=switches)


def moment_of(since: str | None) -> float | None:
    """Turn ``--since`` into seconds since the epoch."""
    if since is None:
        return None
    try:
        return time.time() - Duration.parse(since)
    except ValueError as error:
        raise CommandError(f"--since: {error}") from None
