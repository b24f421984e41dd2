"""``forkstream top``: what two looks at services come to, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from forkstream.cli import top as module
from forkstream.cli.ecs import Target
from forkstream.cli.sight import Rates, Sight, rows
from forkstream.cli.top_table import top_table
from forkstream.status import ForkStatus, ServiceStatus
from tests.cli_kit import run


def sight(name: str, at: float, *forks: ForkStatus, run: str = "r1", **about: Any) -> Sight:
    status = ServiceStatus(run=run, version="1", healthy=True, ready=True, draining=False, forks=list(forks), **about)
    return Sight(name, at, status)


def fork(received: int = 0, **about: Any) -> ForkStatus:
    whole: dict[str, Any] = {"name": "orders", "state": "open", "received": received} | about
    return ForkStatus(**whole)


def shown(now: list[Sight], before: list[Sight] | None = None, *, width: int = 200) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(top_table(now, before or []))
    return captured.get().splitlines()


def cells(now: list[Sight], before: list[Sight] | None = None, *, line: int = 3) -> dict[str, str]:
    """One line of the table by its headings, which stand at the right end of a number's column."""
    lines = shown(now, before)
    heading, row = lines[2], lines[line]
    found = {}
    for column in ("fork", "state", "in/s", "out/s", "lag", "age", "budget", "pollers", "writes", "dead", "last error"):
        start = heading.index(column)
        left = column in ("fork", "state", "last error")
        text = row[start:] if left else row[: start + len(column)]
        found[column] = (text.split("  ")[0] if left else text.rsplit("  ", 1)[-1]).strip()
    return found


def test_rates_are_those_between_two_looks() -> None:
    before = [sight("a", 10.0, fork(100, written=90, retried=1, failed=3))]
    ((row,),) = rows([sight("a", 12.0, fork(300, written=190, retried=1, failed=4))], before)
    assert row.rates == Rates(received=100.0, written=50.0, retried=0.0, failed=0.5)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([], sight("a", 12.0, fork(300))),
        ([sight("b", 10.0, fork(100))], sight("a", 12.0, fork(300))),
        ([sight("a", 10.0, fork(100), run="r0")], sight("a", 12.0, fork(300))),
        ([sight("a", 10.0, fork(400))], sight("a", 12.0, fork(300))),
        ([sight("a", 10.0, fork(100, name="other"))], sight("a", 12.0, fork(300))),
        ([Sight("a", 10.0, None, "no answer")], sight("a", 12.0, fork(300))),
    ],
)
def test_there_are_no_rates_without_two_looks_at_one_run(before: list[Sight], now: Sight) -> None:
    ((row,),) = rows([now], before)
    assert row.rates is None


def test_a_fork_of_several_services_is_shown_as_a_whole_then_by_service() -> None:
    before = [sight(name, 0.0, fork(0)) for name in "ab"]
    now = [
        sight("a", 1.0, fork(10, lag=7, concurrency=4)),
        sight("b", 2.0, fork(10, state="halted", code="denied", lag=9, concurrency=2), fork(name="returns")),
    ]
    first, second = rows(now, before)
    assert [row.service for row in first] == ["", "a", "b"]
    assert [row.service for row in second] == ["b"]
    whole = first[0]
    assert (whole.fork.received, whole.fork.lag, whole.fork.state, whole.fork.concurrency) == (20, 9, "halted", 6)
    assert whole.rates
    assert whole.rates.received == 15.0
    lines = shown(now, before)
    assert [line.split()[0] for line in lines[3:]] == ["orders", "a", "b", "returns"]


def test_everything_that_a_fork_tells_is_shown() -> None:
    now = fork(
        2000, written=400, failed=1, lag=12345, event_age=1.25, in_flight=19_000, budget_events=20_000,
        in_flight_bytes=1, budget_bytes=100, open_batches=3, pollers=6, writing=2, concurrency=8,
        concurrency_reason="slower", dead=1, last_failure="throttled",
    )  # fmt: skip
    seen = cells([sight("a", 1.0, now)], [sight("a", 0.0, fork(0))])
    assert seen == {
        "fork": "orders", "state": "open", "in/s": "2,000", "out/s": "400", "lag": "12,345", "age": "1.2 s",
        "budget": "95%", "pollers": "6", "writes": "2/8 slower", "dead": "1", "last error": "throttled",
    }  # fmt: skip


def test_what_nobody_tells_is_a_dash() -> None:
    seen = cells([sight("a", 1.0, fork())])
    assert {name for name, text in seen.items() if text == "-"} == {"in/s", "out/s", "lag", "age", "budget", "pollers"}
    assert seen["writes"] == "0/-"


@pytest.mark.parametrize(
    ("about", "error"),
    [
        ({"state": "halted", "code": "denied", "detail": "s3:PutObject on b"}, "denied s3:PutObject on b"),
        ({"dead_letters": "missing", "last_failure": "timeout"}, "missing"),
        ({}, ""),
    ],
)
def test_what_stands_in_the_way_is_told_first(about: dict[str, Any], error: str) -> None:
    assert cells([sight("a", 1.0, fork(**about))])["last error"].startswith(error)


@pytest.mark.parametrize(
    ("age", "text"), [(0.02, "20 ms"), (1.0, "1.0 s"), (90.0, "90.0 s"), (300.0, "5 m"), (7200.0, "2 h"), (2e5, "2 d")]
)
def test_an_age_has_the_unit_that_suits_it(age: float, text: str) -> None:
    assert cells([sight("a", 1.0, fork(event_age=age))])["age"] == text


def test_what_a_service_tells_is_never_markup() -> None:
    told = fork(state="halted", code="denied", detail="[red]x[/] \x1b[2J")
    (line,) = [line for line in shown([sight("a", 1.0, told)]) if "halted" in line]
    assert "[red]x[/]" in line
    assert "\x1b" not in line


def test_what_does_not_answer_and_workers_that_are_down_are_told() -> None:
    now = [
        Sight("a", 1.0, None, "no answer from a"),
        sight("b", 1.0, fork(), workers={"0": "up", "1": "down"}, switches={"bug": True}),
    ]
    lines = shown(now)
    assert lines[0].strip() == "2 services, 1 answering, 1 ready   switched on: bug"
    assert "a: no answer from a" in lines
    assert "b: worker 1 down" in lines


def test_looks_are_taken_until_somebody_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Sight] = []
    asked: list[list[str]] = []

    def interrupted(_seconds: float) -> None:
        if len(looks) == 3:
            raise KeyboardInterrupt

    def taken(targets: list[Target]) -> list[Sight]:
        asked.append([target.name for target in targets])
        looks.append(sight("a", float(len(looks)), fork(len(looks) * 10)))
        return [looks[-1]]

    monkeypatch.setattr(module, "look", taken)
    monkeypatch.setattr("time.sleep", interrupted)
    monkeypatch.setattr(module, "Console", lambda: Console(force_terminal=True, width=120))
    assert run("top", "--url", "http://127.0.0.1:1", "--url", "http://127.0.0.1:1") == 0
    assert asked == [["http://127.0.0.1:1"]] * 3


@pytest.mark.parametrize("arguments", [["--url", "ftp://x"], ["--url", "http://nowhere"]])
def test_an_address_that_is_none_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run("top", "--once", "--interval", "0.2", "--url", "http://127.0.0.1:1", *arguments) == 2
    assert capsys.readouterr() == ("", f"expected http://HOST:PORT or unix:/path, found '{arguments[1]}'\n")


def test_one_place_is_asked_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("top", "--url", "http://127.0.0.1:1", "--ecs", "a/b") == 2
    assert "leave out --url" in capsys.readouterr().err


def test_a_pause_behind_a_trouble_is_shown_too() -> None:
    assert cells([sight("a", 1.0, fork(state="halted", paused=True, code="denied"))])["state"] == "halted, paused"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_narrow_terminal_shows_fewer_columns_and_each_of_them_whole(width: int) -> None:
    now = [sight("a", 1.0, fork(name="search-analytics", lag=1234, dead=2, last_failure="sink permanent not_an_order"))]
    whole, *_ = shown(now)[3:]
    heading, row, *more = shown(now, width=width)[2:]
    assert "…" not in heading + row
    assert heading.split()[:3] == ["fork", "state", "in/s"]
    assert heading.rstrip().endswith("last error")
    assert row.split()[:2] == whole.split()[:2] == ["search-analytics", "open"]
    (note,) = [line for line in more if line.startswith("too narrow for pollers, ")]
    assert not {"fork", "state", "dead", "last error"} & set(note.removeprefix("too narrow for ").split(", "))


def test_nothing_but_the_trouble_is_shown_where_nobody_answers() -> None:
    assert shown([Sight("a", 1.0, None, "no answer")]) == ["1 service, 0 answering, 0 ready", "", "a: no answer"]


def test_what_is_written_into_a_pipe_is_not_cut_to_the_width_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(module, "look", lambda _: [sight("a", 1.0, fork(name="search-analytics"))])
    assert run("top", "--once", "--interval", "0.2") == 0
    assert "in flight  budget  batches  pollers  writes" in capsys.readouterr().out
