from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from forkstream.demo.view import Check, View, picture
from forkstream.status import ForkStatus, ServiceStatus

FORKS = [
    ForkStatus(name="search-analytics", state="open", received=12345, in_flight=1200, written=11145, failed=3, lag=0),
    ForkStatus(name="replay", state="halted", code="denied", detail="sqs:SendMessage", dead=2),
]


def test_the_forks_fit_on_80_columns_and_those_in_trouble_say_why() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(picture(FORKS))
    assert isinstance(console.file, StringIO)
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == [
        "  fork              received  in flight  written  failed  dead  lag  state",
        "  search-analytics    12,345      1,200   11,145       3     0    0  open",
        "  replay                   0          0        0       0     2    -  halted",
        "  replay is halted: denied (sqs:SendMessage)",
    ]


def test_a_fork_that_is_paused_in_its_trouble_shows_both() -> None:
    halted = ForkStatus(name="replay", state="halted", paused=True, code="denied", detail="sqs:SendMessage")
    console = Console(file=StringIO(), width=80)
    console.print(picture([halted, ForkStatus(name="checkout", state="paused", paused=True)]))
    assert isinstance(console.file, StringIO)
    *_, replay, checkout, trouble = console.file.getvalue().splitlines()
    assert replay.rstrip().endswith("halted, paused")
    assert checkout.rstrip().endswith(" paused")
    assert trouble.strip() == "replay is halted, paused: denied (sqs:SendMessage)"


def test_what_is_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with View() as view:
        view.watch(lambda: ServiceStatus(run="r", version="1", healthy=True, ready=True, draining=False, forks=FORKS))
        view.title("1 checkout")
        with view.step("deploying"), view.progress("posting", 3) as show:
            show(2)
        view.show(Check(exercise="1", claim="[every] order is a row", found="3 of 3", ok=True, seconds=1.0))
        view.show(Check(exercise="1", claim="x" * 100, found="no", ok=False, seconds=1.0))
    assert capsys.readouterr().out.splitlines() == [
        "",
        "1 checkout",
        "  deploying",
        "  ✓ [every] order is a row: 3 of 3",
        f"  ✗ {'x' * 100}: no",
    ]


def test_what_is_said_aside_leaves_standard_output_to_others(capsys: pytest.CaptureFixture[str]) -> None:
    with View(aside=True) as view:
        view.title("1 checkout")
        view.say("something")
        view.line("something else")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["", "1 checkout", "  something", "something else"]
