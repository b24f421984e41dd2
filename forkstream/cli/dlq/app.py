"""``forkstream dlq``: its commands."""

from __future__ import annotations

import typer

from forkstream.cli.dlq.listing import list_
from forkstream.cli.dlq.redrive import redrive
from forkstream.cli.dlq.show import show

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def dlq() -> None:
    """Dead letters: events that a fork could not get through, kept where someone can mend them and send them again."""


app.command("list")(list_)
app.command("show")(show)
app.command("redrive")(redrive)
