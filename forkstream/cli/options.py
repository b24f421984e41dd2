"""Arguments that several commands take, spelt and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

ConfigArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG]",
        help="A path, - for standard input, env:NAME, s3://bucket/key or ssm:/name. "
        "Left out: $FORKSTREAM_CONFIG, else ./forkstream.yaml.",
        show_default=False,
    ),
]
ForkOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--fork", metavar="NAME", help="Only this fork, and only its variables and plugins; repeatable."),
]
PluginOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file whose plugins may be named too; repeatable."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
