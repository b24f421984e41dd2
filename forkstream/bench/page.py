"""A report as one page that needs nothing else: tables, and plots of throughput, age, memory and CPU over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from forkstream.bench.comparison import Change
from forkstream.bench.figures import Measurement, Report
from forkstream.bench.judgement import best_of, warnings
from forkstream.bench.plot import Line, plot

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1320px;margin:2rem auto;padding:0 1rem;color:#1f2937;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-top:1px solid #e5e7eb;padding-top:1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .8rem .2rem 0;text-align:right}
td:first-child,th:first-child{text-align:left}tr.best{font-weight:600;color:#047857}.good{color:#047857}.bad{color:#b91c1c}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:1rem}svg{width:100%;height:auto}
svg text{font-size:11px;fill:#6b7280}svg .y{text-anchor:end}svg .x{text-anchor:middle}.grid{stroke:#e5e7eb}
.legend{margin:0;font-size:.85rem}.legend span{margin-right:1rem}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
.warning{color:#92400e}small,.dim{color:#6b7280}code{font-size:.9em}
@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}.grid{stroke:#374151}h2{border-color:#374151}}
"""


def page(report: Report, changes: Sequence[Change] = ()) -> str:
    """Write the page."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>forkstream bench</title><style>{_STYLE}</style>",
        f"<h1>forkstream bench</h1><p><code>{escape(report.command)}</code><br><small>{escape(report.at)}</small></p>",
        _table(report),
        *_sweep(report),
        *_changes(changes),
        *(part for found in report.measurements for part in _measurement(found)),
        *_conditions(report),
    ]
    return "\n".join(parts)


def _table(report: Report) -> str:
    names = (
        "CPU µs/message",
        "over TLS",
        "target",
        "messages/s/core",
        "target",
        "settled/s",
        "RSS of a process",
        "p50",
        "p99",
        "p99.9",
    )
    best = best_of(report)
    rows = []
    for found in report.measurements:
        cpu, target, ages = found.middle(lambda one: one.cpu_us), found.target, found.latency
        verdict = "" if target is None else "good" if cpu <= target.cpu_us else "bad"
        cells = [
            f'<td class="{verdict}">{cpu:.1f}</td>',
            *_cells(
                f"{found.tls_cpu_us:.1f}" if found.tls_cpu_us else "",
                f"≤ {target.cpu_us:g}" if target else "",
                f"{found.middle(lambda one: one.per_core):,.0f}",
                f"≥ {target.per_core:,}" if target else "",
                f"{found.middle(lambda one: one.settled_per_s):,.0f}",
                f"{max(one.largest_rss for one in found.repeats) / 2**20:.0f} MiB",
                *([f"{ages.p50:.3f} s", f"{ages.p99:.3f} s", f"{ages.p999:.3f} s"] if ages else ["", "", ""]),
            ),
        ]
        mark = ' class="best"' if found is best else ""
        rows.append(f"<tr{mark}><td>{escape(found.name)}{' (best)' if found is best else ''}</td>{''.join(cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", *names))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _cells(*texts: str) -> Iterator[str]:
    return (f"<td>{text}</td>" for text in texts)


def _sweep(report: Report) -> Iterator[str]:
    if not report.sweep:
        return
    values = [found.settings[-1].partition("=")[2] for found in report.measurements]
    cpu = [(float(at), found.middle(lambda one: one.cpu_us)) for at, found in enumerate(report.measurements)]
    ages = [(float(at), found.latency.p99) for at, found in enumerate(report.measurements) if found.latency]
    memory = [
        (float(at), max(one.largest_rss for one in found.repeats) / 2**20)
        for at, found in enumerate(report.measurements)
    ]
    yield f"<h2>{escape(report.sweep)}</h2><div class='plots'>"
    for unit, points in (("CPU µs a message", cpu), ("p99 of age, s", ages), ("RSS, MiB", memory)):
        yield f"<div>{plot([Line(unit, points)], unit=unit, across=report.sweep, ticks=values)}</div>"
    yield "</div>"


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        rows = "".join(
            f"<tr><td>{escape(change.name)}</td><td>{escape(change.figure)}</td><td>{change.before:,.1f}</td>"
            f"<td>{change.after:,.1f}</td><td class='{change.verdict}'>{change.share:+.1%}</td><td>{change.told}</td></tr>"
            for change in changes
        )
        head = "".join(f"<th>{name}</th>" for name in ("", "figure", "before", "now", "change", ""))
        yield f"<h2>Compared</h2><table><tr>{head}</tr>{rows}</table>"


def _measurement(found: Measurement) -> Iterator[str]:
    yield f"<h2>{escape(found.name)}</h2>"
    for text in warnings(found):
        yield f"<p class='warning'>{escape(text)}</p>"
    yield "<div class='plots'>"
    for unit, lines in _over_time(found):
        yield f"<div>{plot(lines, unit=unit, across='seconds')}</div>"
    yield "</div>"
    counted = sorted(found.typical.service.items())
    if counted:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{value:,.3f}</td></tr>" for name, value in counted)
        yield f"<details><summary>what the service counted</summary><table>{rows}</table></details>"
    if found.profile:
        areas = ", ".join(f"{escape(area)} {share:.0%}" for area, share in found.areas.items() if share >= 0.01)
        rows = "".join(
            f"<tr><td><code>{escape(hot.where)}</code></td><td>{hot.share:.1%}</td><td>{hot.calls_per_message:.2f}</td></tr>"
            for hot in found.profile
        )
        head = "<tr><th>function, without what it calls</th><th>share</th><th>calls a message</th></tr>"
        yield f"<details><summary>where the time goes: {areas}</summary><table>{head}{rows}</table></details>"


def _over_time(found: Measurement) -> Iterator[tuple[str, list[Line]]]:
    runs = list(enumerate(found.repeats, 1))
    yield (
        "settled/s",
        [Line(f"repeat {number}", [(one.seconds, one.settled_per_s) for one in run.samples]) for number, run in runs],
    )
    samples = found.typical.samples
    ages = [
        Line("p50", [(one.seconds, one.p50) for one in samples if one.p50 is not None]),
        Line("p99", [(one.seconds, one.p99) for one in samples if one.p99 is not None]),
    ]
    yield "age when settled, s", [line for line in ages if line.points]
    yield (
        "RSS, MiB",
        [Line(f"repeat {number}", [(one.seconds, one.rss / 2**20) for one in run.samples]) for number, run in runs],
    )
    yield (
        "share of a core",
        [
            Line("consumer", [(one.seconds, one.cpu_share) for one in samples]),
            Line("stub", [(one.seconds, one.stub_share) for one in samples]),
        ],
    )


def _conditions(report: Report) -> Iterator[str]:
    machine, conditions = report.machine, report.conditions
    rows = {
        "machine": machine.told,
        "versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        "cores": conditions.cores,
        "messages": conditions.bodies,
        "load": "as fast as it goes" if conditions.rate is None else f"open loop of {conditions.rate:g}/s",
        "workers": str(conditions.workers),
        "each repeat": f"{conditions.seconds:g} s, {conditions.repeats} fresh processes",
        "weather": f"latency {conditions.latency * 1000:g} ms, of a sink {conditions.sink_latency * 1000:g} ms more, errors {conditions.errors:.1%}, throttled {conditions.throttle:.1%}",
        "TLS": "yes" if conditions.tls else "no",
    }
    body = "".join(f"<tr><td>{name}</td><td>{escape(text)}</td></tr>" for name, text in rows.items())
    yield f"<h2>Conditions</h2><table class='dim'>{body}</table>"
