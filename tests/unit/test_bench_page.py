"""The page of a report: whole, safe, and with a plot for each thing that changes over time."""

from __future__ import annotations

import re
from io import StringIO
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from forkstream.bench.comparison import compare
from forkstream.bench.figures import Hot, Measurement, Report, Sample
from forkstream.bench.page import page
from forkstream.bench.plot import Line, plot
from forkstream.bench.scenario import SCENARIOS
from forkstream.bench.text import show
from tests.unit.test_bench_figures import repeat, report

SAMPLES = [
    Sample(
        seconds=at / 2, settled_per_s=9_000.0 + at, cpu_share=0.9, stub_share=0.4, rss=10**8 + at, largest_rss=10**8,
        p50=0.1, p99=0.3,
    )
    for at in range(1, 11)
]  # fmt: skip
FOUND = Measurement(
    title="backup",
    settings=("forks.x.batch.max_bytes=<5MiB>",),
    target=SCENARIOS["backup"].target,
    repeats=[
        repeat(
            samples=SAMPLES,
            service={
                "batch_events_count": 2.0, "batch_events_sum": 20.0, "batch_bytes_sum": 2.0**21, "batch_closed_total age": 2.0,
                "loop_stall_seconds": 0.02, "failures_total sink transient throttled": 7.0,
            },
        )
    ],
    profile=[Hot(where="forkstream/x.py:1 <f>", share=0.5, calls_per_message=1.0)],
    areas={"forkstream/flow": 0.6, "msgspec": 0.4},
)  # fmt: skip


def svgs(text: str) -> list[ET.Element]:
    return [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314  # our own


@pytest.fixture
def swept() -> Report:
    other = msgspec.structs.replace(FOUND, settings=("forks.x.batch.max_bytes=1MiB",), repeats=[repeat(cpu_us=12.0)])
    return msgspec.structs.replace(report(FOUND, other), sweep="forks.x.batch.max_bytes", command="<script>")


def test_a_page_needs_nothing_else_and_quotes_what_it_shows(swept: Report) -> None:
    text = page(swept, compare(report(FOUND), swept))
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    assert "&lt;script&gt;" in text
    assert "&lt;5MiB&gt;" in text
    assert "12.0</td>" in text
    assert 'class="best"' in text
    assert "within the noise" in text


def test_throughput_age_memory_and_cpu_are_plotted_over_time_and_a_sweep_by_its_values(swept: Report) -> None:
    drawn = {svg.attrib["aria-label"] for svg in svgs(page(swept))}
    assert {"settled/s over seconds", "age when settled, s over seconds", "RSS, MiB over seconds"} <= drawn
    assert "share of a core over seconds" in drawn
    assert "CPU µs a message over forks.x.batch.max_bytes" in drawn


def test_a_line_runs_from_left_to_right_within_its_frame() -> None:
    (svg,) = svgs(plot([Line("a", [(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)])], unit="u", across="s"))
    (line,) = [part for part in svg if part.tag == "polyline"]
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert all(0 <= x <= 640 and 0 <= y <= 220 for x, y in points)
    assert plot([], unit="u", across="s") == ""


def test_people_are_shown_the_figures_beside_their_targets(swept: Report) -> None:
    console = Console(file=StringIO(), width=140)
    show(swept, console, compare(report(FOUND), swept), ["another machine"])
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert re.search(r"<5MiB> +20\.0 +≤ 23 +50,000 +≥ 43,000 +10,000", text)
    assert "◀ best" in text
    assert "10 events, 1.00 MiB each; closed by age 2" in text
    assert "loop stall   20 ms at most" in text
    assert "sink transient throttled 7" in text
    assert "50.0%" in text
    assert "! another machine" in text
