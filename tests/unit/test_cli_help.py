"""Whoever asks a command for help learns how it is used, and what its exit code says."""

from __future__ import annotations

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
