"""``forkstream top``: running services, live."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from forkstream.cli.admin_client import AdminClient, url_in
from forkstream.cli.ecs import EcsOption, Target, tasks_of
from forkstream.cli.options import JsonOption
from forkstream.cli.sight import Sight, look, rows
from forkstream.cli.top_table import top_table
from forkstream.cli.wish import TokenOption, print_json
from forkstream.errors import CommandError, DeliveryError

ANSWER_SECONDS = 3.0
TASKS_SECONDS = 30.0
"""How often ECS is asked which tasks there are."""
_WIDE = 240


def top(
    url: Annotated[
        list[str] | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Where a service listens, http://HOST:PORT or unix:/path; repeatable. Left out: the one of this machine.",
        ),
    ] = None,
    *,
    ecs: EcsOption = None,
    token: TokenOption = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print it once, after two looks, and end.")] = False,
    json: JsonOption = False,
) -> None:
    """Show running services by fork, live: rates, lag, age, what is held of the budget, and what stands in the way.

    `age` is that of the last batch's events when they became durable, from their sending. `writes` are those under way,
    of as many as may be, with the reason why that last changed. Exits with 1 if one look brought no answer at all. On
    something else than a terminal, and with --json, it looks twice and ends.

    [bold]Examples[/]

    forkstream top

    forkstream top --url http://10.0.1.5:8080 --url unix:/run/forkstream.sock

    forkstream top --ecs production/orders --once
    """
    if ecs and url:
        raise CommandError("--ecs names all there is to ask: leave out --url")
    watch = _looks(_finder(url or (), ecs, token), interval)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE  # whole lines, for a file or a pipe has no edge
    if json or once or not console.is_terminal:
        before, now = next(watch), next(watch)
        if json:
            print_json(_document(now, before))
        else:
            console.print(top_table(now, before))
        if not any(sight.status for sight in now):
            raise typer.Exit(1)
        return
    with suppress(KeyboardInterrupt):
        _show_live(watch, console)


def _show_live(watch: Iterator[list[Sight]], console: Console) -> None:
    before: list[Sight] = []
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for now in watch:
            live.update(top_table(now, before), refresh=True)
            before = now


def _looks(find: Callable[[], Sequence[Target]], interval: float) -> Iterator[list[Sight]]:
    """Look again and again; what is to be looked at is found anew now and then."""
    targets, found_at = find(), time.monotonic()
    while True:
        began = time.monotonic()
        yield look(targets)
        time.sleep(max(0.0, began + interval - time.monotonic()))
        if time.monotonic() - found_at > TASKS_SECONDS:
            with suppress(CommandError, DeliveryError):  # the tasks that are known are looked at meanwhile
                targets = find()
            found_at = time.monotonic()


def _finder(urls: Sequence[str], ecs: str | None, token: str | None) -> Callable[[], Sequence[Target]]:
    if ecs:
        return lambda: tasks_of(ecs, token, ANSWER_SECONDS)
    named = list(dict.fromkeys(urls)) or [url_in(os.environ)]
    targets = [Target(each, AdminClient(each, token, ANSWER_SECONDS)) for each in named]
    return lambda: targets


def _document(now: Sequence[Sight], before: Sequence[Sight]) -> dict[str, Any]:
    rates = {(row.service, row.fork.name): row.rates for together in rows(now, before) for row in together}
    return {"services": [_service(sight, rates) for sight in now]}


def _service(sight: Sight, rates: dict[tuple[str, str], Any]) -> dict[str, Any]:
    if sight.status is None:
        return {"name": sight.name, "error": sight.trouble}
    told = msgspec.to_builtins(sight.status)
    forks = [{**fork, "rates": rates[sight.name, fork["name"]]} for fork in told["forks"]]
    return {"name": sight.name, **told, "forks": forks}
