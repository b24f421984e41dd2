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


ODD_ANSWERS = """
from __future__ import annotations
from forkstream import *
from forkstream.ports import Payload

class Nothing(EventSink[Settings]):
    async def write(self, events): return None

class Ids(EventSink[Settings]):
    async def write(self, events): return [event.id for event in events]

class Copies(EventSink[Settings]):
    async def write(self, events): return [Failure.permanent(event.with_(), "refused") for event in events]

class Misses(EventSink[Settings]):
    def write(self, events): return {}["nothing"]

class Listed(AsyncStage[Settings]):
    async def apply(self, events): return list(events)

class ById(AsyncStage[Settings]):
    async def apply(self, events): return {event.id: event for event in events}

class Forgets(ObjectStage[Settings]):
    suffix = ""
    async def prepare(self, about): pass

class Bytes(ObjectStage[Settings]):
    suffix = ""
    async def prepare(self, about): return lambda payload: payload.data

class Dials(EventSink[Settings]):
    async def __aenter__(self): raise ConnectionRefusedError("nobody there")
    async def write(self, events): return ()

class Trips(EventSink[Settings]):
    async def __aexit__(self, *error): raise RuntimeError("tripped")
    async def write(self, events): return ()
"""


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("nothing", "1: dead unexpected_TypeError (write returned None, where a collection of Failure is due: () when every event is durable)"),
        ("ids", "1: dead unexpected_TypeError (write returned a value of type str for a failed event, where Failure.permanent(event, …) is due)"),
        ("copies", "1: dead foreign_failure (a failure names <Event 1>, which is not one of the objects given)"),
        ("misses", "1: dead unexpected_KeyError ('nothing'; at odd.py:16 in Misses.write)"),
        ("listed", "1: dead unexpected_TypeError (apply returned a value of type list, where a mapping from each event to its result is due)"),
        ("by-id", "1: dead unexpected_TypeError (apply answers for a value of type str, where the very events given are due as keys)"),
        ("forgets", "1: dead unexpected_TypeError (prepare returned None, where a function from Payload to Payload is due)"),
        ("bytes", "1: dead unexpected_TypeError (what prepare returned gave a value of type bytes, where a Payload is due)"),
    ],
)  # fmt: skip
def test_an_answer_of_the_wrong_shape_is_told_with_what_is_due(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plugin: str, told: str
) -> None:
    Path("odd.py").write_text(ODD_ANSWERS)
    Path("one.ndjson").write_text('{"id":1}\n')
    assert run("plugins", "try", plugin, "--events", "one.ndjson", "--plugin", "odd.py") == 1
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()[0] == told


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("dials", "Dials.__aenter__ raised ConnectionRefusedError: nobody there (odd.py:33 in Dials.__aenter__): TransientError or UnavailableError is due"),
        ("trips", "Trips.__aexit__ raised RuntimeError: tripped (odd.py:37 in Trips.__aexit__): it closes, and raises nothing"),
    ],
)  # fmt: skip
def test_a_bug_while_opening_or_closing_is_told_as_the_plugin_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plugin: str, told: str
) -> None:
    Path("odd.py").write_text(ODD_ANSWERS)
    assert run("plugins", "try", plugin, "--events", "orders.ndjson", "--plugin", "odd.py") == 2
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "") == f"{told}\n"


BLOCKING = """
from __future__ import annotations
import time
from pathlib import Path
from forkstream import *

class Naps(EventSink[Settings]):
    async def __aenter__(self):
        Path(__file__).read_bytes()
        return self
    async def write(self, events):
        time.sleep(0)
        return ()

class Rests(EventSink[Settings]):
    def write(self, events):
        time.sleep(0)
        return ()

class Reads(EventStage[Settings]):
    def __call__(self, event):
        Path(__file__).read_bytes()
        return event
"""


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("naps", ["time.sleep at blocking.py:12 in Naps.write"]),
        ("reads", ["open at blocking.py:22 in Reads.__call__"]),
        ("rests", []),
    ],
)
def test_what_holds_up_the_loop_is_told_once_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plugin: str, told: list[str]
) -> None:
    Path("blocking.py").write_text(BLOCKING)
    assert run("plugins", "try", plugin, "--events", "orders.ndjson", "--plugin", "blocking.py") == 0
    hint = "held up the loop, and with it every fork: let it run in a thread, or use what can be awaited"
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines() == [f"{one} {hint}" for one in told]


def test_a_bug_is_told_with_what_a_plugin_raises(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(ODD_ANSWERS)
    assert run("plugins", "try", "misses", "--events", "orders.ndjson", "--plugin", "odd.py") == 1
    assert capsys.readouterr().err == (
        "unexpected_… is a bug of the plugin: it raises TransientError, PermanentError or UnavailableError and nothing else, "
        "and gives back what its port says\n"
    )
