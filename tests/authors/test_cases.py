"""``forkstream test``: cases through the real chain without any service, and each way in which one can fail."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli_kit import run

ROOT = Path(__file__).parents[2]

AT = "2026-01-01T00:00:00.000Z"
CONFIG = """
forks:
  documents:
    source: {sqs: {queue: "${QUEUE}"}}
    stages:
      - filter: {policy: {kind: [{anything-but: secret}]}, scope: body, unmatched: drop}
      - sanitize: {drop: [card], hash: {paths: [name], key: "${HASH_KEY}"}}
      - index: {name: things, id: id}
    sink: {opensearch: {url: "${SEARCH_URL}"}}
    dead_letter: {stages: [compress, encrypt: {kms_key: "${KEY}"}], sink: {s3: {bucket: "${BUCKET}"}}}
  objects:
    source: {sqs: {queue: other}}
    stages: [encrypt: {kms_key: alias/x}]
    sink: {s3: {bucket: stored, prefix: "dt=%Y-%m-%d/"}}
    batch: {max_events: 2}
  remote:
    source: {sqs: {queue: third}}
    stages: [transform: {lambda: clean}]
    sink: {http: {url: "https://x.invalid/", secret: "${ssm:/orders/token-of-sixteen}"}}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(CONFIG)


def outcome(capsys: pytest.CaptureFixture[str], fork: str, *events: Any, code: int = 1, **due: Any) -> list[str]:
    """Run one case; give its differences, each on one line."""
    case = {"name": "it", "fork": fork, "events": list(events), **due}
    Path("my.cases.yaml").write_text(yaml.safe_dump({"cases": [case]}, sort_keys=False))
    assert run("test", "my.yaml", "--fork", fork, "--json") == code
    (told,) = json.loads(capsys.readouterr().out)["cases"]
    assert told["ok"] == (code == 0)
    return [f"{one['where']}: {one['expected']} / {one['found']}" for one in told["differences"]]


def test_the_shipped_config_has_cases_for_each_fork_and_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", str(ROOT / "deploy" / "ecommerce.yaml")) == 0
    *lines, _, last = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} == {"checkout:", "storage-backup:", "search-analytics:", "replay:"}
    assert last == "6 cases, all as they should be"


def test_the_example_of_the_readme_holds_for_the_config_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    config, example = (
        re.search(rf"^```yaml\n({start}\n.*?)^```$", readme, re.MULTILINE | re.DOTALL)
        for start in ("forks:", r"# orders\.cases\.yaml")
    )
    assert config
    assert example
    Path("orders.yaml").write_text(config[1])
    Path("orders.cases.yaml").write_text(example[1])
    assert run("test", "orders.yaml") == 0, capsys.readouterr().out


def test_documents_are_compared_value_by_value(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"data": {"id": "a", "kind": "x", "card": 1, "amount": 1.5, "rows": [1, 2]}}
    whole = {"id": "a", "kind": "x", "amount": 1.50, "rows": [1, 2], "@timestamp": AT}
    assert not outcome(capsys, "documents", event, documents=[{"data": whole, "index": "things", "id": "a"}], code=0)
    due = {"id": "a", "kind": "y", "rows": [1, "2", 3], "more": None, "@timestamp": AT}
    assert outcome(capsys, "documents", event, documents=[{"data": due, "index": "other"}]) == [
        'documents[0].index: "other" / "things"',
        'documents[0].data.kind: "y" / "x"',
        "documents[0].data.rows: 3 of them / 2",
        'documents[0].data.rows[1]: "2" / 2',
        "documents[0].data.more: null / nothing",
        "documents[0].data.amount: nothing / 1.5",
    ]


def test_some_fields_can_be_due_and_others_may_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"data": {"id": "a", "kind": "x", "rows": [{"note": 1}, {"note": 2}]}}
    assert not outcome(
        capsys, "documents", event, documents=[{"has": {"kind": "x"}, "lacks": ["card", "rows[*].card"]}], code=0
    )
    assert outcome(capsys, "documents", event, documents=[{"has": {"kind": True}, "lacks": ["rows[*].n*", "id"]}]) == [
        'documents[0].data.kind: true / "x"',
        "documents[0].data.rows[0].note: nothing / 1",
        "documents[0].data.rows[1].note: nothing / 2",
        'documents[0].data.id: nothing / "a"',
    ]


def test_what_a_case_does_not_mention_may_not_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"data": {"id": "a", "kind": "x"}}, {"data": {"id": "b", "kind": "secret"}}, {"data": {"kind": "no id"}}]
    assert outcome(capsys, "documents", *events) == [
        "documents: 0 of them / 1",
        'documents[0]: nothing / event 1: {"id":"a","kind":"x","@timestamp":"2026-01-01T00:00:00.000Z"}',
        "dropped.unmatched: nothing / [2]",
        "dead_letters: 0 of them / 1",
        "dead_letters[0]: nothing / event 3: missing_path at stages[2].index (there is no value at id)",
    ]
    due: dict[str, Any] = {"documents": [{"event": 1}], "dropped": {"unmatched": [2]}}
    letter = {"event": 3, "code": "missing_path", "step": "stages[2].index", "data": {"kind": "no id"}}
    assert not outcome(capsys, "documents", *events, **due, dead_letters=[letter], code=0)


def test_what_is_due_and_does_not_come_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(
        capsys, "documents", documents=[{"has": {"id": "a"}}], dropped={"unmatched": [1]},
        dead_letters=[{"code": "c"}], kept=[{"event": 1, "code": "c"}],
    ) == [
        "documents: 1 of them / 0",
        'documents[0]: {"has":{"id":"a"}} / nothing',
        "dropped.unmatched: [1] / nothing",
        "dead_letters: 1 of them / 0",
        "dead_letters[0]: code c / nothing",
        "kept: 1 of them / 0",
        "kept[0]: event 1: c / nothing",
    ]  # fmt: skip


def test_secrets_stand_for_known_ones_so_that_pseudonyms_are_the_same_each_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"data": {"id": "a", "kind": "x", "name": "Ada"}}
    (first,) = outcome(capsys, "documents", event, documents=[{"has": {"name": "Ada"}}])
    monkeypatch.setenv("HASH_KEY", "another key of thirty-two characters")
    (again,) = outcome(capsys, "documents", event, documents=[{"has": {"name": "Ada"}}])
    assert first.startswith('documents[0].data.name: "Ada" / "')
    assert first == again


def test_objects_are_read_back_whatever_their_key(capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"data": {"id": number}, "sent_at": "2026-05-01T12:00:00Z"} for number in range(3)]
    key = "dt=2026-05-01/*.ndjson.encrypted"
    due = [{"key": key, "documents": [{"data": {"id": 0}}, {"data": {"id": 1}}]}]
    assert not outcome(
        capsys, "objects", *events, objects=[*due, {"key": key, "documents": [{"data": {"id": 2}}]}], code=0
    )
    wrong = outcome(capsys, "objects", *events, objects=[*due, {"key": "elsewhere/*", "documents": []}])
    assert [line.partition("dt=")[0] for line in wrong] == ["objects[1].key: elsewhere/* / ", "objects: nothing / "]
    assert outcome(
        capsys, "objects", events[0], objects=[{"key": key, "documents": [{"data": {"id": 7}}, {"data": {}}]}]
    ) == ["objects[0].documents: 2 of them / 1", "objects[0].documents[0].data.id: 7 / 0"]


def test_a_star_is_all_that_is_special_in_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    due = [{"key": "dt=2026-01-0[1]/*", "documents": [{}]}]
    assert len(outcome(capsys, "objects", {"data": {}}, objects=due)) == 2
    assert not outcome(capsys, "objects", {"data": {}}, objects=[{"key": "*", "documents": [{}]}], code=0)


def test_attributes_times_and_bytes_reach_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text(
        "forks: {objects: {source: {sqs: {queue: q}}, sink: {s3: {bucket: stored}}, "
        "format: {ndjson: {envelope: true}}, stages: [filter: {policy: {n: [{numeric: ['>', 1]}]}, unmatched: drop}]}}"
    )
    events = [
        {"base64": "/w==", "attributes": {"n": 2, "text": "t", "raw": {"type": "Binary", "value": "/w=="}}},
        {"body": "x", "attributes": {"n": 1.5}},
        {"data": {}, "attributes": {"n": 0.5}},
    ]
    documents = [{"base64": "/w=="}, {"body": "x"}]
    due: dict[str, Any] = {
        "objects": [{"key": "*.envelope.ndjson", "documents": documents}],
        "dropped": {"unmatched": [3]},
    }
    assert not outcome(capsys, "objects", *events, **due, code=0)
    documents[0]["base64"] = "/g=="
    assert outcome(capsys, "objects", *events, **due) == ["objects[0].documents[0].body: '\\xfe' / '\\xff'"]


def test_without_a_place_for_dead_letters_the_dead_stay_with_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"event": 1, "code": "not_json", "step": "sink"}
    assert not outcome(capsys, "objects", {"body": "no JSON"}, kept=[kept], code=0)
    assert outcome(capsys, "objects", {"body": "no JSON"}, kept=[{**kept, "code": "other"}])[0].startswith(
        "kept[0].code: other / not_json ("
    )


def test_a_letter_is_compared_by_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"data": {"kind": "x", "card": 1, "n": number}, "id": "same"} for number in range(2)]
    letters = [{"event": 1, "code": "missing_path", "data": {"kind": "x", "n": 0}}, {"code": "c", "has": {"n": 5}}]
    assert outcome(capsys, "documents", *events, dead_letters=letters) == [
        "dead_letters[1].code: c / missing_path (there is no value at id)",
        "dead_letters[1].data.n: 5 / 1",
    ]


def test_differences_are_shown_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cases.yaml").write_text(
        "cases:\n"
        "  - {name: right, fork: documents, events: [{data: {id: a, kind: x}}], documents: [{id: a}]}\n"
        "  - {name: wrong, fork: documents, events: [{data: {id: a, kind: x}}], documents: [{has: {kind: y}}]}\n"
    )
    assert run("test", "my.yaml", "--fork", "documents") == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    documents: right",
        "FAIL  documents: wrong",
        "        documents[0].data.kind",
        '          - "y"',
        '          + "x"',
        "",
        "2 cases, 1 failed",
    ]


@pytest.mark.parametrize(
    ("cases", "complaint"),
    [
        ("cases: [", "my.cases.yaml:1:9: not YAML: while parsing"),
        ("cases: [{name: a}]", "my.cases.yaml:1:9: cases[0].fork: is required"),
        ("cases: [{name: a, fork: objects, events: [{dta: 1}]}]", "cases[0].events[0].dta: no such setting, did you mean data?"),
        ("cases: [{name: a, fork: objetcs, events: []}]", "my.cases.yaml:1:25: cases[0].fork: my.yaml has no fork 'objetcs', did you mean objects?"),
        ("cases: []", "my.cases.yaml has no case"),
        ("cases: [{name: a, fork: objects, events: [{file: x.json}]}]", "x.json: No such file or directory"),
        (
            "cases: [{name: a, fork: remote, events: []}]",
            "forks.remote.stages[0].transform calls AWS (lambda:",
        ),
        ("cases: [{name: a, fork: objects, events: [{attributes: {a: true}}]}]", "is a text, a number or {type, value}"),
        ("cases: [{name: a, fork: objects, events: [{sent_at: noon}]}]", "cases[0].events[0]: sent_at: expected a time such as 2026-01-31T12:00:00Z, or seconds since the epoch, found noon"),
        ("cases: [{name: a, fork: objects, events: [{body: x, data: 1}]}]", "data and body are one too many"),
        ("cases: [{name: a, fork: objects, events: [], documents: [{lacks: [a..b]}]}]", "path 'a..b': "),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str], cases: str, complaint: str) -> None:
    Path("my.cases.yaml").write_text(cases)
    assert run("test", "my.yaml") == 2
    assert complaint in capsys.readouterr().err


def test_every_mistake_is_told_at_once_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cases.yaml").write_text(
        "envronment: {}\n"
        "cases:\n"
        "  - fork: objects\n"
        "    events: [{dta: {}}, {data: {}, body: x}, 5, {base64: '%'}]\n"
        "    objcts: []\n"
        "  - {name: b, fork: objects, events: x, documents: 5, dropped: {r: 1}}\n"
        "  - {name: c, fork: objects, events: [], kept: [{event: one, code: c}, {}], objects: [{documents: []}], name: d}\n"
        "  - again\n"
    )
    assert run("test", "my.yaml") == 2
    assert capsys.readouterr().err.splitlines() == [
        "my.cases.yaml:1:1: envronment: no such setting, did you mean environment?",
        "my.cases.yaml:3:5: cases[0].name: is required",
        "my.cases.yaml:4:15: cases[0].events[0].dta: no such setting, did you mean data?",
        "my.cases.yaml:4:25: cases[0].events[1]: data and body are one too many: a body is given in one way",
        "my.cases.yaml:4:46: cases[0].events[2]: expected a mapping, found 5",
        'my.cases.yaml:4:58: cases[0].events[3].base64: invalid base64 encoded string, found "%" in quotes',
        "my.cases.yaml:5:5: cases[0].objcts: no such setting, did you mean objects?",
        "my.cases.yaml:6:38: cases[1].events: expected a list, found x",
        "my.cases.yaml:6:52: cases[1].documents: expected a list, found 5",
        "my.cases.yaml:6:64: cases[1].dropped: expected a list in each of its values, found a whole number",
        "my.cases.yaml:7:57: cases[2].kept[0].event: expected a whole number, found one",
        "my.cases.yaml:7:72: cases[2].kept[1].code: is required",
        "my.cases.yaml:7:72: cases[2].kept[1].event: is required",
        "my.cases.yaml:7:87: cases[2].objects[0].key: is required",
        "my.cases.yaml:7:105: cases[2].name: stands here a second time, first in line 7",
        "my.cases.yaml:8:5: cases[3]: expected a mapping, found again",
    ]


def test_each_case_of_an_unknown_fork_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cases.yaml").write_text(
        "cases:\n  - {name: a, fork: objetcs, events: []}\n  - {name: b, fork: x, events: []}\n"
    )
    assert run("test", "my.yaml") == 2
    assert capsys.readouterr().err.splitlines() == [
        "my.cases.yaml:2:21: cases[0].fork: my.yaml has no fork 'objetcs', did you mean objects?",
        "my.cases.yaml:3:21: cases[1].fork: my.yaml has no fork 'x'; known: documents, objects, remote",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "my.cases.yaml:1:1: expected a mapping, found nothing"),
        (b"\xff\x00", "my.cases.yaml: not UTF-8 at byte 0; cases are YAML"),
        (b"- a", "my.cases.yaml:1:1: expected a mapping, found a list"),
    ],
)
def test_a_file_that_holds_no_cases_at_all_is_told(
    capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    Path("my.cases.yaml").write_bytes(content)
    assert run("test", "my.yaml") == 2
    assert capsys.readouterr().err == f"{complaint}\n"


def test_a_config_that_cannot_run_is_told_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text(CONFIG.replace("prefix:", "prefx:"))
    Path("my.cases.yaml").write_text("cases: [{name: a, fork: objects, events: []}]")
    assert run("test", "my.yaml") == 2
    assert "prefx: no such setting, did you mean prefix?" in capsys.readouterr().err


def test_missing_cases_and_a_config_without_a_directory_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", "my.yaml") == 2
    assert run("test", "-") == 2
    assert run("test", "my.yaml", "--cases", "x.yaml") == 2
    assert capsys.readouterr().err.splitlines() == [
        "my.cases.yaml: No such file or directory; cases stand beside the config, or name them with --cases",
        "- has no directory in which cases could stand: name them with --cases",
        "x.yaml: No such file or directory; cases stand beside the config, or name them with --cases",
    ]
