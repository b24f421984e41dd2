"""What ``forkstream demo`` says and how it exits, without a demo behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forkstream.demo import play as stage
from forkstream.demo.interruptible import Interrupted
from forkstream.demo.play import Script
from forkstream.demo.report import Report
from forkstream.demo.view import Check
from tests.cli_kit import run

RIGHT = Check(exercise="1 checkout", claim="every order is a row", found="3 of 3", ok=True, seconds=1.0)
WRONG = Check(exercise="3 search", claim="they can be found", found="2 of 3", ok=False, seconds=2.0)


def report(*checks: Check, **reach: str) -> Report:
    return Report(
        ok=all(check.ok for check in checks), seconds=9.5, first_order_seconds=4.5, checks=list(checks), reach=reach
    )


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[Script]:
    """Exchange the demo for one that finds a wrong check; gives what it was asked to show."""
    asked: list[Script] = []

    def play(script: Script, tell: Callable[[Report], None]) -> Report:
        asked.append(script)
        found = report(RIGHT, WRONG)
        tell(found)
        return found

    monkeypatch.setattr(stage, "play", play)
    return asked


def test_a_check_that_failed_is_exit_1(scripts: list[Script], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo") == 1
    assert scripts == [Script(orders=200, rate=100.0)]
    assert not capsys.readouterr().out


def test_json_is_one_document(scripts: list[Script], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--json", "--orders", "7", "--rate", "30/m", "--kill") == 1
    assert scripts == [Script(orders=7, rate=0.5, kill=True, aside=True)]
    document = json.loads(capsys.readouterr().out)
    assert [document["ok"], document["first_order_seconds"], document["checks"][1]["found"]] == [False, 4.5, "2 of 3"]


def test_all_checks_right_is_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "play", lambda *_: report(RIGHT))
    assert run("demo") == 0


def test_a_signal_is_the_exit_code_that_shells_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(*_: object) -> Report:
        raise Interrupted(15)

    monkeypatch.setattr(stage, "play", play)
    assert run("demo") == 143


def test_people_read_how_many_are_right_what_is_wrong_and_how_to_reach_what_runs() -> None:
    assert list(report(RIGHT, WRONG, log="tail -f log", forks="curl forks").lines()) == [
        "",
        "1 of 2 checks are right, after 10 s",
        "  wrong: 3 search: they can be found: 2 of 3",
        "",
        "It runs on until Ctrl-C:",
        "  log    tail -f log",
        "  forks  curl forks",
    ]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--rate", "fast", "--rate: expected a number with a unit"),
        ("--rate", "0/s", "--rate: expected more than 0/s"),
        ("--orders", "0", "greater than or equal to 1"),
        ("--orders", "5001", "less than or equal to 5000"),
        ("--orders", "many", "--orders"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_starts(
    option: str, value: str, said: str, scripts: list[Script], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("demo", option, value) == 2
    assert said in capsys.readouterr().err
    assert scripts == []


def test_without_deploy_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "DEPLOY", tmp_path / "deploy")
    assert run("demo") == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/deploy is not there" in said
    assert "pip install -e '.[local]' -e plugins/forkstream-checkout -e plugins/forkstream-duckdb" in said


def test_without_its_packages_it_says_which(
    monkeypatch: pytest.MonkeyPatch, scripts: list[Script], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("forkstream.cli.demo.find_spec", lambda name: None if name == "ministack" else name)
    assert run("demo") == 2
    assert "the demo needs ministack: in a checkout of forkstream, pip install" in capsys.readouterr().err
    assert scripts == []
