"""``forkstream switch``: turn a switch that plugins read while they run."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Literal

import msgspec
import typer

from forkstream.cli.options import ConfigArgument, JsonOption, PluginOption
from forkstream.cli.wish import AdminOption, TokenOption, Wish, print_json
from forkstream.config.excerpt import Excerpt
from forkstream.config.problem import did_you_mean
from forkstream.errors import CommandError, PluginError
from forkstream.registry import Registry

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def switch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The switch, as the plugin that reads it names it.")],
    state: Annotated[Literal["on", "off"], typer.Argument(metavar="on|off", help="How it is to stand.")],
    config: ConfigArgument = None,
    *,
    plugin: PluginOption = None,
    admin: AdminOption = None,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Turn a switch of the plugins, such as the shop's checkout-bug.

    With `control` in the config every task follows, and it survives a restart. Without it, or with --admin, one
    process is told, through its admin endpoint. A name that no plugin of the config says it reads is turned all the
    same, with a warning that names those that are read.

    [bold]Examples[/]

    forkstream switch checkout-bug on

    forkstream switch checkout-bug off deploy/ecommerce.yaml
    """
    if not _NAME.fullmatch(name):
        raise CommandError(f"{name!r} is no name of a switch: expected up to 80 letters, digits, . _ -")
    on = state == "on"
    wish = Wish(
        edit=lambda desired: desired.with_switch(name, on),
        requests=[(f"/switches/{name}", msgspec.json.encode({"on": on}))],
        look=lambda excerpt: warn_unread(name, excerpt, Registry.installed(plugin or ())),
    )
    reach = wish.deliver(config, admin, token)
    if json:
        print_json({"switches": {name: on}, "reach": reach})
    else:
        print(f"{name}: {state}\n{reach}")


def warn_unread(name: str, excerpt: Excerpt, registry: Registry) -> None:
    """Say on standard error that none of the config's plugins reads this switch, if so, and which switches are read."""
    read: set[str] = set()
    unknown: list[str] = []
    for kind, plugin in sorted(excerpt.plugins, key=lambda found: found[1]):
        try:
            read.update(registry.find(kind, plugin).switches)
        except PluginError:
            unknown.append(f"{kind.value} {plugin}")
    if name in read:
        return
    near = did_you_mean(name, sorted(read))
    known = f"it reads {', '.join(sorted(read))}" if read else "it reads none"
    print(
        f"warning: no plugin of {excerpt.document} that is installed here reads {name}{near}; {known}", file=sys.stderr
    )
    if unknown:
        print(f"not to be asked here: {', '.join(unknown)} (see `forkstream plugins list`)", file=sys.stderr)
