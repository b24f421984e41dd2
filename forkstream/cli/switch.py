"""``forkstream switch``: turn a switch that plugins read while they run."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
import typer

from forkstream.cli.options import ConfigArgument, JsonOption
from forkstream.cli.wish import AdminOption, TokenOption, Wish, print_json
from forkstream.errors import CommandError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def switch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The switch, as the plugin that reads it names it.")],
    state: Annotated[Literal["on", "off"], typer.Argument(metavar="on|off", help="How it is to stand.")],
    config: ConfigArgument = None,
    *,
    admin: AdminOption = None,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Turn a switch of the plugins, such as the shop's checkout-bug.

    With `control` in the config every task follows, and it survives a restart. Without it, or with --admin, one
    process is told, through its admin endpoint. A name that no plugin reads does nothing.

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
    )
    reach = wish.deliver(config, admin, token)
    if json:
        print_json({"switches": {name: on}, "reach": reach})
    else:
        print(f"{name}: {state}\n{reach}")
