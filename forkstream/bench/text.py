"""A report for people, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from forkstream.bench.comparison import Change
from forkstream.bench.figures import Measurement, Report
from forkstream.bench.judgement import best_of, warnings

STEADY_SECONDS = 30.0
"""How long a run has to be before growth of its memory means anything."""


def show(report: Report, console: Console, changes: Sequence[Change] = (), doubts: Sequence[str] = ()) -> None:
    """Print a report: a table of all measurements, what changed since an earlier one, then what stands behind each."""
    console.print()
    console.print(_table(report))
    if changes:
        console.print()
        console.print(_compared(changes))
    for doubt in doubts:
        console.print(Text(f"! {doubt}", style="yellow"), soft_wrap=True)
    for found in report.measurements:
        for part in _details(found, report):
            console.print(part, soft_wrap=True)
    console.print(Text(f"\n{report.machine.told}", style="dim"), soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in report.machine.versions.items() if name != "python")
    console.print(Text(f"{versions}; {report.conditions.cores}", style="dim"), soft_wrap=True)


def _table(report: Report) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("scenario" if not report.sweep else report.sweep, no_wrap=True)
    tls = ["TLS"] if any(found.over_tls for found in report.measurements) else []
    for name in (
        "CPU µs",
        *tls,
        "target",
        "msg/s/core",
        "target",
        "settled/s",
        "RSS",
        *(["p50"] if report.conditions.rate else []),
        "p99",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    best = best_of(report)
    for found in report.measurements:
        name = found.settings[-1].partition("=")[2] if report.sweep else found.name
        cpu, cores = found.middle(lambda one: one.cpu_us), found.middle(lambda one: one.per_core)
        target = found.target
        ages = found.latency
        mark = " ◀ best" if found is best else ""
        table.add_row(
            Text(f"{name}{mark}", style="bold green" if found is best else ""),
            Text(f"{cpu:.1f}", style=_verdict(target is None or cpu <= target.cpu_us, target is not None)),
            *([f"{found.tls_cpu_us:.1f}" if found.tls_cpu_us else ""] if tls else []),
            f"≤ {target.cpu_us:g}" if target else "",
            f"{cores:,.0f}",
            f"≥ {target.per_core:,}" if target else "",
            f"{found.middle(lambda one: one.settled_per_s):,.0f}",
            f"{max(one.largest_rss for one in found.repeats) / 2**20:.0f} MiB",
            *([_seconds(ages.p50) if ages else ""] if report.conditions.rate else []),
            _seconds(ages.p99) if ages else "",
        )
    return table


def _compared(changes: Sequence[Change]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("compared", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    for name in ("before", "now", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for change in changes:
        style = {"good": "green", "bad": "red", "": ""}[change.verdict]
        figures = f"{change.before:,.1f}", f"{change.after:,.1f}", Text(f"{change.share:+.1%}", style=style)
        table.add_row(change.name, change.figure, *figures, change.told)
    return table


def _details(found: Measurement, report: Report) -> Iterator[RenderableType]:
    typical = found.typical
    yield Text(f"\n{found.name}", style="bold")
    spread = f", {found.spread(lambda one: one.cpu_us):.0%} apart" if len(found.repeats) > 1 else ""
    yield f"  repeats      {', '.join(f'{one.cpu_us:.1f}' for one in found.repeats)} µs{spread}"
    yield f"  cores        consumer {typical.cpu_share:.0%}, stub {typical.stub_share:.0%} of one core"
    # a line through a few seconds says nothing about a minute
    growth = (
        f", growing {typical.rss_growth * 60 / 2**20:+.1f} MiB a minute" if typical.seconds >= STEADY_SECONDS else ""
    )
    yield f"  memory       {typical.rss / 2**20:.0f} MiB at most{growth}"
    if typical.latency:
        how = "sent to deleted, open loop" if report.conditions.rate else "received to deleted, as fast as it goes"
        ages = typical.latency
        yield (
            f"  age          p50 {_seconds(ages.p50)}, p99 {_seconds(ages.p99)}, p99.9 {_seconds(ages.p999)}, "
            f"most {_seconds(ages.most)} ({how})"
        )
    yield f"  out          {typical.bytes_out / typical.settled if typical.settled else 0:,.0f} bytes a message, heads included"
    yield f"  receives     {typical.receive_fill * 10:.1f} messages each; deletes {typical.delete_fill * 10:.1f}"
    yield from (f"  {line}" for line in _service(typical.service))
    for note in found.notes:
        yield Text(f"  {note}", style="dim")
    for warning in warnings(found):
        yield Text(f"  ! {warning}", style="yellow")
    if found.profile:
        yield Group(*_profile(found))


def _service(counted: dict[str, float]) -> Iterator[str]:
    batches = counted.get("batch_events_count", 0.0)
    if batches:
        closed = {
            name.partition(" ")[2]: value for name, value in counted.items() if name.startswith("batch_closed_total ")
        }
        why = ", ".join(f"{reason} {value:,.0f}" for reason, value in sorted(closed.items(), key=lambda one: -one[1]))
        events, size = counted.get("batch_events_sum", 0.0) / batches, counted.get("batch_bytes_sum", 0.0) / batches
        yield f"batches      {events:,.0f} events, {size / 2**20:.2f} MiB each; closed by {why}"
    for name, value in counted.items():
        if "stall" in name:
            yield f"loop stall   {value * 1000:.0f} ms at most within a minute, which may include its start"
    failures = {name.partition(" ")[2]: value for name, value in counted.items() if name.startswith("failures_total ")}
    if failures:
        yield "failures     " + ", ".join(f"{name} {value:,.0f}" for name, value in failures.items())


def _profile(found: Measurement) -> Iterator[RenderableType]:
    shares = ", ".join(f"{area} {share:.0%}" for area, share in found.areas.items() if share >= 0.01)
    yield Text(f"  profile      {shares}", style="dim")
    for hot in found.profile[:12]:
        yield Text(f"    {hot.share:6.1%}  {hot.calls_per_message:8.2f} calls a message  {hot.where}", style="dim")


def _verdict(reached: bool, known: bool) -> str:
    if not known:
        return ""
    return "green" if reached else "red"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
