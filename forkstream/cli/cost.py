"""``forkstream cost``: what a config costs on AWS, beside Lambda and Firehose."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from forkstream.cli.options import ConfigArgument, ForkOption, JsonOption, PluginOption
from forkstream.config.loading import load_config
from forkstream.config.plan import Plan
from forkstream.config.problem import did_you_mean
from forkstream.costs.bill import Bill
from forkstream.costs.compute import BUSY
from forkstream.costs.estimate import Estimate, usd_per_million
from forkstream.costs.lambda_and_firehose import ASSUMED
from forkstream.costs.prices import Prices
from forkstream.errors import CommandError
from forkstream.registry import Registry
from forkstream.settings import Rate, Size


def cost(  # a command's options
    config: ConfigArgument = None,
    *,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE",
            help="Events a second of every fork, such as 10000/s, or of one: search=4000/s; repeatable. "
            "1000/s if left out.",
        ),
    ] = None,
    event_size: Annotated[str, typer.Option(metavar="SIZE", help="Mean size of an event's body.")] = "630B",
    tasks: Annotated[int | None, typer.Option(min=1, help="Tasks that run; as many as it takes if left out.")] = None,
    cpu: Annotated[
        float | None,
        typer.Option(
            metavar="MICROSECONDS", min=0.1, help="CPU an event, as forkstream bench measures it for this config."
        ),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="A price list of your own.")
    ] = None,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Estimate what a config costs on AWS at a rate of events: its requests, by what each plugin says it is billed for,
    and the tasks that the CPU takes. Beside it stands what the same forks cost on Lambda and Firehose.

    Nobody is asked anything, and variables of the config that are not set do not matter. A paused fork costs nothing
    unless it is given a rate. Not in it: storage, data transfer, clusters paid by the hour, publishing to the topic.

    [bold]Examples[/]

    forkstream cost deploy/ecommerce.yaml --rate 10000/s

    forkstream cost --rate 1000/s --rate search-analytics=400/s --event-size 2KiB

    forkstream cost --rate 10000/s --cpu 22 --tasks 4 --json
    """
    plans = load_config(
        config,
        forks=fork or (),
        registry=Registry.installed(plugin or ()),
        environ=Unset(os.environ),
        run="cost",
        ask=False,
    ).plans
    listed = Prices.read(prices)
    estimate = Estimate.of(
        plans,
        rates=_rates(rate or ["1000/s"], plans),
        event_bytes=_event_bytes(event_size),
        cpu_us=cpu,
        tasks=tasks,
        prices=listed,
    )
    if json:
        _print_json(estimate, listed)
    else:
        _show(estimate, listed)


class Unset(dict[str, str]):
    """An environment in which a variable without a default is its own name, as a name or a URL may look, if it is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)

    def __missing__(self, name: str) -> str:
        word = name.lower().replace("_", "-").strip("-")
        return f"https://{word}.invalid" if word.endswith("url") else word


def _rates(texts: Collection[str], plans: Collection[Plan]) -> dict[str, float]:
    """Events a second by fork: ``10000/s`` for all that are not paused, ``search=4000/s`` for one."""
    rates = {plan.name: 0.0 for plan in plans}
    given: dict[str, float] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            per_second = float(Rate.parse(value))
        except ValueError as error:
            raise CommandError(f"--rate {text}: {error}") from None
        if name and name not in rates:
            near = did_you_mean(name, rates) or f"; known: {', '.join(rates)}"
            raise CommandError(f"--rate {text}: the config has no fork {name}{near}")
        if name:
            given[name] = per_second
        else:
            rates = {plan.name: 0.0 if plan.settings.paused else per_second for plan in plans}
    return rates | given


def _event_bytes(text: str) -> float:
    try:
        size = Size.parse(text)
    except ValueError as error:
        raise CommandError(f"--event-size {text}: {error}") from None
    if size < 1:
        raise CommandError(f"--event-size {text}: an event has a byte at least")
    return float(size)


def _show(estimate: Estimate, prices: Prices) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "billed", "units/s", "$ / million", "$ / month"):
        table.add_column(heading, justify="left" if heading in {"", "billed"} else "right", no_wrap=True)
    for bill in [*estimate.forks, estimate.compute]:
        for row in _rows(bill):
            table.add_row(*row)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    tasks = estimate.tasks
    console.print(
        f"\n{tasks.count} task{'s' if tasks.count > 1 else ''} of {tasks.vcpu:g} vCPU and {tasks.gigabytes:g} GB, "
        f"{tasks.busy:.0%} busy ({BUSY:.0%} is meant), CPU an event: "
        + ", ".join(f"{name} {microseconds:g} µs" for name, microseconds in estimate.cpu_us.items())
    )
    theirs = sum(bill.usd_per_month for bill in estimate.lambda_and_firehose)
    console.print(f"\nforkstream           {estimate.usd_per_month:>12,.2f} $ a month")
    console.print(f"Lambda and Firehose  {theirs:>12,.2f} $ a month", end="")
    console.print(f", {theirs / estimate.usd_per_month:.1f} times as much" if estimate.usd_per_month else "")
    for bill in estimate.lambda_and_firehose:
        console.print(f"  {bill.name:<19}{bill.usd_per_month:>12,.2f}")
    console.print(
        f"\nList prices of {prices.region}, {prices.date}; events of {estimate.event_bytes:g} bytes. Without storage, data "
        f"transfer, and clusters paid by the hour.\nLambda and Firehose: {ASSUMED}.",
        style="dim",
    )


def _rows(bill: Bill) -> Iterator[tuple[str, ...]]:
    million = usd_per_million(bill)
    share = 1e6 / bill.events_per_second / (730 * 3600) if bill.events_per_second else 0.0
    yield (
        bill.name,
        "" if bill.events_per_second else "no events",
        f"{bill.events_per_second:,.0f} events",
        "" if million is None else f"{million:.3f}",
        f"{bill.usd_per_month:,.2f}",
    )
    for line in bill.lines:
        yield (
            f"  {line.what}",
            line.unit,
            f"{line.per_second:,.3g}" if line.per_second < 100 else f"{line.per_second:,.0f}",
            f"{line.usd_per_month * share:.3f}",
            f"{line.usd_per_month:,.2f}",
        )


def _print_json(estimate: Estimate, prices: Prices) -> None:
    def bills(all_: list[Bill]) -> list[dict[str, Any]]:
        return [
            {**msgspec.to_builtins(bill), "usd_per_month": bill.usd_per_month, "usd_per_million": usd_per_million(bill)}
            for bill in all_
        ]

    value = {
        "prices": {"region": prices.region, "date": prices.date},
        "event_bytes": estimate.event_bytes,
        "cpu_us": estimate.cpu_us,
        "tasks": estimate.tasks,
        "forks": bills(estimate.forks),
        "compute": bills([estimate.compute])[0],
        "usd_per_month": estimate.usd_per_month,
        "lambda_and_firehose": bills(estimate.lambda_and_firehose),
    }
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
