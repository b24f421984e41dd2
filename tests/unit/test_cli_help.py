"""Whoever asks a command for help learns how it is used, and what its exit code says."""

from __future__ import annotations

from itertools import pairwise

import pytest

from forkstream.cli.commands import COMMANDS, load
from tests.cli_kit import run

WORDS = [
    [name, *inner] for name in COMMANDS for inner in ([[each] for each in getattr(load(name), "commands", ())] or [[]])
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_has_examples_that_begin_with_it_and_tells_its_exit_codes(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(*words, "--help") == 0
    said = capsys.readouterr().out
    assert "Examples" in said
    assert f"forkstream {' '.join(words)}" in said.partition("Examples")[2]
    assert "xits with" in " ".join(said.split())


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_help_fills_the_lines_of_a_narrow_terminal_and_shows_no_value_where_none_is_taken(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(*words, "--help") == 0
    said = capsys.readouterr().out
    assert "<bool>" not in said
    lines = [line.strip() for line in said.partition("Examples")[0].splitlines()]
    for line, after in pairwise(lines):
        assert not line or not after or len(f"{line} {after.split()[0]}") > 78, line


def test_what_each_command_does_is_told_whole_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.help}" in said
