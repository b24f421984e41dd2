"""``forkstream plugins try``: one stage or sink on sample events, and what came of each."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli_kit import run

PLUGINS = """
from __future__ import annotations
from collections.abc import Collection, Mapping, Sequence
from forkstream import *

class PickyConfig(Settings):
    path: str = ""

class Picky(EventSink[PickyConfig]):
    async def __aenter__(self):
        if self.config.path == "gone":
            raise UnavailableError("missing", "nothing at gone")
        return self

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        if any(event.body == b'"poison"' for event in events):
            raise PermanentError("poison", "a poison")
        if self.config.path == "away":
            raise UnavailableError("away", "nobody at away")
        return [Failure.transient(event, "busy", "try again") for event in events if event.body == b'"busy"']

class Both(EventStage[Settings]):
    name = "both"
    def __call__(self, event: Event) -> Event | Drop:
        if event.attributes:
            return event.with_(data={"amount": event.attributes["amount"].value, "id": event.id})
        return Drop("no_amount")

class BothSink(Picky):
    name = "both"
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_text(PLUGINS)
    Path("orders.ndjson").write_text('{"id":1,"card":"4111"}\nno json\n"text"\n')


def tried(*arguments: str, events: str = "orders.ndjson") -> int:
    return run("plugins", "try", *arguments, "--events", events, "--plugin", "p.py")


def test_a_stage_shows_what_it_made_of_each_event_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert tried("sanitize", "{drop: [card]}") == 1
    assert capsys.readouterr().out.splitlines() == [
        "1: passed",
        '  {"id":1}',
        "2: dead not_json (JSON is malformed: invalid character (byte 4))",
        "3: dead not_an_object (the body: expected an object, found a string)",
        "1 passed, 2 dead",
    ]


def test_settings_come_from_a_file_too_and_block_yaml_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    Path("settings.yaml").write_text("drop:\n  - card\n")
    Path("one.ndjson").write_text('{"card":1}\n')
    assert tried("sanitize", "settings.yaml", events="one.ndjson") == 0
    assert tried("sanitize", "drop:\n  - card\n", events="one.ndjson") == 0
    assert capsys.readouterr().out.count("1: passed\n  {}\n1 passed\n") == 2


def test_whole_events_bring_their_attributes_and_drops_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.envelope.ndjson").write_text(
        '{"id":"a","sent_at":1,"attributes":{"amount":{"type":"Number","value":"12.50"}},"body":{}}\n'
        '{"id":"b","sent_at":1,"body":{}}\n'
    )
    assert tried("both", "--kind", "stage", "--json", events="e.envelope.ndjson") == 0
    assert json.loads(capsys.readouterr().out) == {
        "events": [
            {"event": 1, "id": "a", "outcome": "passed", "body": '{"amount":"12.50","id":"a"}'},
            {"event": 2, "id": "b", "outcome": "dropped", "reason": "no_amount"},
        ],
        "objects": [],
    }


def test_a_sink_is_tried_once_its_poison_found_and_its_troubles_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'1\n"poison"\n"busy"\n2\n')))
    assert tried("picky", events="-") == 1
    assert capsys.readouterr().out.splitlines() == [
        "1: written", "2: dead poison (a poison)", "3: again busy (try again)", "4: written", "2 written, 1 dead, 1 again",
    ]  # fmt: skip
    assert tried("picky", "{path: away}") == 1
    assert "1: again away (nobody at away)" in capsys.readouterr().out
    assert tried("picky", "{path: gone}") == 2
    assert capsys.readouterr().err == "it cannot be opened: missing (nothing at gone)\n"


def test_an_object_stage_and_an_object_sink_get_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.json").write_text('[{"id":1}, {"id":2}]')
    assert tried("compress", "{algorithm: gzip}", "--json", events="good.json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["outcome"] for one in told["events"]] == ["passed", "passed"]
    assert [(one["key"].partition(".")[2], one["content_type"]) for one in told["objects"]] == [
        ("ndjson.gz", "application/gzip")
    ]
    assert tried("file", "{directory: stored}", events="good.json") == 0
    (stored,) = Path("stored").iterdir()
    assert stored.read_text() == '{"id":1}\n{"id":2}\n'


@pytest.mark.parametrize(
    ("arguments", "events", "complaint"),
    [
        (
            ["sanitize", "{dorp: [x]}"],
            "orders.ndjson",
            "stages[0].sanitize.dorp: no such setting, did you mean drop?\n",
        ),
        (["sanitize", "{drop: ["], "orders.ndjson", "CONFIG: not YAML"),
        (
            ["sanitize", "nowhere.yaml"],
            "orders.ndjson",
            "nowhere.yaml: there is no such file; its settings can stand here",
        ),
        (["sanitize", "binary.yaml"], "orders.ndjson", "binary.yaml: not UTF-8 at byte 0"),
        (["nothing"], "orders.ndjson", "no stage or sink is called 'nothing'; known: "),
        (["sanitise"], "orders.ndjson", "no stage or sink is called 'sanitise', did you mean sanitize?"),
        (["both"], "orders.ndjson", "'both' is a stage and a sink: say which with --kind\n"),
        (["memory"], "orders.ndjson", "'memory' is a source: it brings events and takes none"),
        (["stdout"], "missing.ndjson", "missing.ndjson: No such file or directory\n"),
        (
            ["stdout"],
            "p.py",
            "p.py: p.py: expected .ndjson or .json, found .py\nIts name says what it holds: .ndjson one",
        ),
    ],
)
def test_what_cannot_be_tried_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: list[str], events: str, complaint: str
) -> None:
    Path("binary.yaml").write_bytes(b"\xff\x00")
    assert tried(*arguments, events=events) == 2
    assert complaint in capsys.readouterr().err


def test_its_help_says_what_the_file_may_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "try", "--help") == 0
    assert ".envelope.ndjson" in capsys.readouterr().out
