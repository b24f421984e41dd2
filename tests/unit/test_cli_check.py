"""What ``forkstream check`` prints and exits with, run as a person runs it."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.cli_kit import run

PLUGINS = '''
from __future__ import annotations
from collections.abc import Collection, Sequence
from typing import Self
from forkstream import Event, EventSink, Failure, Settings, UnavailableError

class PlaceConfig(Settings):
    """Where."""
    fail: str = ""

class Place(EventSink[PlaceConfig]):
    """A sink that can be told to be out of order."""

    async def __aenter__(self) -> Self:
        if self.config.fail == "open":
            raise UnavailableError("denied", "place:Open on here")
        return self

    async def check(self) -> None:
        if self.config.fail == "check":
            raise UnavailableError("missing", "place:Check on here")
        if self.config.fail == "crash":
            raise RuntimeError("ouch")

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return []
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("FORKSTREAM_CONFIG", "FORKSTREAM_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    Path("plugins.py").write_text(PLUGINS)
    return tmp_path


def write(text: str) -> None:
    Path("forkstream.yaml").write_text(textwrap.dedent(text).lstrip("\n"))


GOOD = """
    forks:
      storage:
        source: memory
        stages: [sanitize: {drop: [card]}, compress, encrypt: {key_file: key}]
        sink: {file: {directory: out}}
        dead_letter: {stages: [encrypt: {key_file: key}], sink: {file: {directory: dead}}}
      other: {source: memory, sink: {place: {}}, paused: true}
"""


def test_a_config_in_order_is_summed_up_by_fork(capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert run("check", "--plugin", "plugins.py") == 0
    assert capsys.readouterr().out == (
        "storage  memory → sanitize → compress → encrypt → file, dead letters: encrypt → file\n"
        "other    memory → place, paused\n"
        "\n"
        "forkstream.yaml: ok\n"
    )
    assert not Path("out").exists()


BAD = """
    forks:
      one:
        source: memroy
        sink: {blackhole: {x: 1}}
        concurrency: many
"""


def test_problems_are_printed_by_place_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD)
    assert run("check", "forkstream.yaml") == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines[:3]] == [
        ["forkstream.yaml:3:13", "forks.one.source"],
        ["forkstream.yaml:4:24", "forks.one.sink.blackhole.x"],
        ["forkstream.yaml:5:18", "forks.one.concurrency"],
    ]
    assert lines[3:] == ["", "3 problems"]


def test_problems_are_printed_as_json_for_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD)
    assert run("check", "--json") == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"][2] == {
        "file": "forkstream.yaml",
        "line": 5,
        "column": 18,
        "path": "forks.one.concurrency",
        "message": "expected a whole number of at least 1, found many",
    }


def test_one_fork_can_be_checked_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert run("check", "--fork", "storage", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "forks": [
            {
                "name": "storage",
                "steps": [
                    "source.memory",
                    "stages[0].sanitize",
                    "stages[1].compress",
                    "stages[2].encrypt",
                    "sink.file",
                    "dead_letter.stages[0].encrypt",
                    "dead_letter.sink.file",
                ],
            }
        ],
        "warnings": [],
        "unanswered": [],
    }


def test_connecting_names_what_cannot_be_used_by_fork_and_step(capsys: pytest.CaptureFixture[str]) -> None:
    write("""
        forks:
          one: {source: memory, sink: {place: {fail: open}}, dead_letter: {sink: {place: {fail: crash}}}}
          two: {source: memory, sink: {place: {fail: check}}}
          three: {source: memory, sink: place}
    """)
    assert run("check", "--connect", "--plugin", "plugins.py") == 1
    assert capsys.readouterr().out == (
        "one    memory → place, dead letters: place\n"
        "       sink.place: denied (place:Open on here)\n"
        "           → allow it to the identity that forkstream runs as\n"
        "       dead_letter.sink.place: unexpected (RuntimeError: ouch)\n"
        "two    memory → place\n"
        "       sink.place: missing (place:Check on here)\n"
        "           → create it, or correct its name, the region or the account\n"
        "three  memory → place\n"
        "\n"
        "forkstream.yaml: in order, but 3 of its plugins cannot work now\n"
    )


def test_connecting_says_so_when_everything_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    write("forks: {one: {source: memory, sink: {place: {}}}}")
    assert run("check", "--connect", "--plugin", "plugins.py") == 0
    assert capsys.readouterr().out.endswith("forkstream.yaml: ok, and everything that it names can be used\n")
    assert run("check", "--connect", "--plugin", "plugins.py", "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_a_config_that_is_not_there_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 2
    assert capsys.readouterr() == ("", "no config: name one, set FORKSTREAM_CONFIG or make ./forkstream.yaml\n")


def test_a_plugin_file_that_cannot_be_loaded_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert run("check", "--plugin", "nowhere.py") == 2
    assert capsys.readouterr().err.startswith("plugin file nowhere.py cannot be loaded: FileNotFoundError")
