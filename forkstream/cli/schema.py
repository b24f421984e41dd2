"""``forkstream schema``: what an editor completes and checks a config with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from forkstream.cli.options import PluginOption
from forkstream.config.schema import ConfigSchema
from forkstream.registry import Registry


def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write it to a file instead."),
    ] = None,
    *,
    plugin: PluginOption = None,
) -> None:
    """Print the JSON Schema (2020-12) of a config, with every plugin that is installed.

    The first line of a config tells an editor with YAML support where it is; it then completes, explains and checks:

    # yaml-language-server: $schema=forkstream.schema.json

    [bold]Examples[/]

    forkstream schema --output forkstream.schema.json

    forkstream schema --plugin ./webhook.py
    """
    built = ConfigSchema(Registry.installed(plugin or ())).build()
    text = msgspec.json.format(msgspec.json.encode(built), indent=2).decode()
    if output:
        output.write_text(f"{text}\n")
    else:
        print(text)
