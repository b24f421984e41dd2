"""What a benchmark makes of what it counted: percentiles, spread, slopes, and what changed since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from forkstream.bench.comparison import compare, doubts, read_report
from forkstream.bench.figures import Conditions, Measurement, Percentiles, Repeat, Report, added, slope
from forkstream.bench.judgement import best_of, warnings
from forkstream.bench.machine import Machine
from forkstream.errors import CommandError

CALM = Repeat(
    seconds=5.0, settled=50_000, settled_per_s=10_000.0, cpu_us=20.0, cpu_share=0.95, stub_share=0.4, waited_share=0.0,
    bytes_out=1, rss=100, largest_rss=100, rss_growth=0.0, receive_fill=1.0, latency=Percentiles(0.1, 0.2, 0.3, 0.4),
    requests={}, delete_fill=1.0, empty_receives=0, repeated=0, refused=0, left_behind=0, backlog=0,
)  # fmt: skip
QUIET = Conditions(
    seconds=5.0, repeats=1, workers=1, rate=None, tls=False, latency=0.0, errors=0.0, throttle=0.0, bodies="", cores=""
)
HERE = Machine(processor="x", cores=2, system="Linux", python="3.11.7", versions={})


def repeat(**changes: Any) -> Repeat:
    return msgspec.structs.replace(CALM, **changes)


def report(*measurements: Measurement, **changes: Any) -> Report:
    conditions = msgspec.structs.replace(QUIET, **changes)
    return Report(at="", command="", machine=HERE, conditions=conditions, measurements=[*measurements])


def test_percentiles_are_those_of_the_counts() -> None:
    assert Percentiles.of({}) is None
    assert Percentiles.of({7: 1}) == Percentiles(0.007, 0.007, 0.007, 0.007)
    counts = added([{1: 500}, {1: 460, 50: 30}, {900: 9, 5000: 1}])
    assert Percentiles.of(counts) == Percentiles(0.001, 0.05, 0.9, 5.0)


def test_middle_and_spread_are_of_the_repeats() -> None:
    found = Measurement(title="x", repeats=[repeat(cpu_us=us) for us in (30.0, 20.0, 24.0)])
    assert found.middle(lambda one: one.cpu_us) == 24.0
    assert found.spread(lambda one: one.cpu_us) == pytest.approx(10 / 24)
    assert found.typical.cpu_us == 24.0
    assert found.typical.per_core == pytest.approx(1e6 / 24)


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 5.0), (1.0, 7.0)]) == slope([(1.0, 1.0)] * 3) == 0.0


@pytest.mark.parametrize(
    ("doubtful", "word"),
    [
        ([repeat(stub_share=0.97, cpu_share=0.6)], "the stub was the limit"),
        ([repeat(waited_share=0.5)], "others used this core too"),
        ([repeat(cpu_us=10.0), repeat(cpu_us=20.0)], "repeats lie"),
        ([repeat(left_behind=3)], "still hidden"),
        ([repeat(left_behind=-1)], "was killed"),
        ([repeat(repeated=2)], "received again"),
        ([repeat(backlog=20_000)], "did not keep up"),
        ([repeat(refused=1)], "does not know"),
    ],
)
def test_what_makes_figures_doubtful_is_said(doubtful: list[Repeat], word: str) -> None:
    (warning,) = warnings(Measurement(title="x", repeats=doubtful))
    assert word in warning
    assert not list(warnings(Measurement(title="x", repeats=[CALM])))


def test_the_best_of_a_sweep_costs_least_and_in_an_open_loop_is_soonest() -> None:
    slow = Measurement(title="slow", repeats=[repeat(cpu_us=9.0, latency=Percentiles(0.1, 0.9, 1, 1))])
    dear = Measurement(title="dear", repeats=[repeat(cpu_us=90.0)])
    swept = msgspec.structs.replace(report(dear, slow), sweep="forks.x.batch.max_age")
    assert best_of(swept) is slow
    assert best_of(msgspec.structs.replace(swept, conditions=report(rate=5.0).conditions)) is dear
    assert best_of(report(dear, slow)) is None


def test_a_change_within_the_noise_is_none() -> None:
    before = report(Measurement(title="x", repeats=[repeat(cpu_us=us) for us in (18.0, 20.0, 22.0)]))
    little = report(Measurement(title="x", repeats=[repeat(cpu_us=us) for us in (21.0, 22.0, 23.0)]))
    much = report(Measurement(title="x", repeats=[repeat(cpu_us=us) for us in (9.0, 10.0, 11.0)]))
    assert compare(before, little)[0].verdict == ""
    halved = compare(before, much)[0]
    assert (halved.verdict, halved.share) == ("good", -0.5)
    assert compare(much, before)[0].verdict == "bad"


def test_reports_that_have_nothing_in_common_are_not_compared() -> None:
    before = report(Measurement(title="drain", repeats=[CALM]))
    with pytest.raises(CommandError, match="the earlier report has only drain"):
        compare(before, report(Measurement(title="search", repeats=[CALM])))


def test_other_conditions_are_told() -> None:
    elsewhere = msgspec.structs.replace(report(tls=True), machine=msgspec.structs.replace(HERE, cores=8, python="3.13"))
    told = " ".join(doubts(elsewhere, report()))
    assert "another machine" in told
    assert "Python 3.13" in told
    assert "conditions then: tls" in told
    assert not list(doubts(report(), report()))


def test_a_file_that_is_no_report_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    with pytest.raises(CommandError, match="No such file"):
        read_report(path)
    path.write_text("{}")
    with pytest.raises(CommandError, match="is no report: make one by"):
        read_report(path)
    kept = report(Measurement(title="x", repeats=[CALM]))
    path.write_bytes(msgspec.json.encode(kept))
    assert read_report(path) == kept
