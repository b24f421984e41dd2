"""``forkstream demo``: the e-commerce application on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from forkstream.cli.options import JsonOption
from forkstream.demo.interruptible import Interrupted
from forkstream.errors import CommandError
from forkstream.settings import Rate

if TYPE_CHECKING:
    from forkstream.demo.report import Report

_NEEDED = ("ministack", "boto3", "forkstream_checkout", "forkstream_duckdb")


def demo(
    *,
    orders: Annotated[int, typer.Option(min=1, max=5000, help="How many orders the first exercise posts.")] = 200,
    rate: Annotated[str, typer.Option(help="How fast orders are posted: 100/s, 600/m.")] = "100/s",
    kill: Annotated[
        bool,
        typer.Option(
            "--kill",
            help="Also SIGKILL the service again and again while 500 orders, or --orders if that is more, are posted; "
            "and count what is lost.",
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running until Ctrl-C, and say how to reach each part.")
    ] = False,
    opensearch: Annotated[
        str | None, typer.Option(metavar="URL", help="Search in this OpenSearch instead of the embedded analytics.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the whole e-commerce application on this machine, and walk through its four exercises.

    It starts an embedded AWS on loopback, deploys deploy/application.yaml on it, runs deploy/ecommerce.yaml, posts
    orders through the API and counts them at their destinations. Exits with 1 if a check fails. Nothing stays behind.
    With --json what came of it is the one document on standard output, and progress goes to standard error.

    [bold]Examples[/]

    forkstream demo

    forkstream demo --orders 1000 --rate 200/s --kill

    forkstream demo --keep

    forkstream demo --opensearch http://127.0.0.1:9200
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"the demo needs {', '.join(missing)}: in a checkout of forkstream, "
            "pip install -e '.[local]' -e plugins/forkstream-checkout -e plugins/forkstream-duckdb"
        )
    try:
        a_second = Rate.parse(rate)
    except ValueError as error:
        raise CommandError(f"--rate: {error}") from None
    if a_second <= 0:
        raise CommandError(f"--rate: expected more than 0/s, found {rate!r}")
    from forkstream.demo.play import Script, play  # noqa: PLC0415  # needs what was looked for above

    def tell(report: Report) -> None:
        if json:
            print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode(), flush=True)

    script = Script(orders=orders, rate=a_second, kill=kill, keep=keep, opensearch=opensearch, aside=json)
    try:
        report = play(script, tell)
    except Interrupted as interrupted:
        raise typer.Exit(128 + interrupted.number) from None
    if not report.ok:
        raise typer.Exit(1)
