"""``forkstream dlq`` as an operator uses it, on dead letters in files."""

from __future__ import annotations

import json
import os
import stat
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from forkstream.config.loading import load_config
from forkstream.event import Attribute, Event
from forkstream.flow.writers import ObjectWriter
from forkstream.formats import Format
from forkstream.letters import Letter, letter_of
from forkstream.ports import ObjectSink
from forkstream.registry import Registry
from forkstream.stages.codec import decompress
from tests.cli_kit import run

PLUGIN = Path(__file__).parents[1] / "dlq_plugin.py"
CARD = "4111111111111111"
CONFIG = """
    forks:
      search:
        source: memory
        stages:
          - sanitize: {drop: [payment.card-*]}
        sink: {particular: {file: out}}
        dead_letter: {stages: [compress], sink: {file: {directory: dead}}}
      other:
        source: memory
        sink: {file: {directory: "${MISSING}"}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("FORKSTREAM_CONFIG", "FORKSTREAM_DEBUG", "INSTANT"):
        monkeypatch.delenv(name, raising=False)
    configure(CONFIG)
    return tmp_path


def configure(text: str) -> None:
    Path("forkstream.yaml").write_text(textwrap.dedent(text).lstrip("\n"))


def dlq(command: str, *arguments: str) -> int:
    return run("dlq", command, "--plugin", str(PLUGIN), "--fork", "search", *arguments)


def letter(name: str, amount: object = "450", *, step: str = "sink", code: str = "mapping", **fields: Any) -> Letter:
    body = json.dumps({"amount": amount, "note": f"card {CARD}"}).encode()
    event = Event(body, id=name, sent_at=1.0, receive_count=2, attributes={"amount": Attribute("Number", "450")})
    made = letter_of(event, fork="search", step=step, code=code, detail=f"amount {amount} of card {CARD}")
    return msgspec.structs.replace(made, **fields)


def bury(*letters: Letter, partition: str = "", fork: str = "search") -> None:
    """Write letters as the runtime does: with the config's own stages and sink, in one object."""
    plan = load_config(forks=[fork], registry=Registry.installed([PLUGIN])).plans[0]
    dead = plan.dead_letter
    assert dead
    assert isinstance(dead.sink, ObjectSink)

    async def write() -> None:
        assert isinstance(dead.sink, ObjectSink)
        async with dead.sink:
            for stage in dead.object_stages:
                await stage.__aenter__()
            form = Format()
            writer = ObjectWriter(fork, dead.sink, render=form.render, suffix=form.suffix, stages=dead.object_stages)
            await writer.begin(partition, [Event(one.encode(), id=one.id) for one in letters]).attempt(1)

    anyio.run(write)


def sent() -> list[str]:
    return Path("out").read_text().splitlines() if Path("out").exists() else []


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    dlq("list", "--json", *arguments)
    rows: list[dict[str, Any]] = printed(capsys)["letters"]
    return rows


def test_a_list_names_what_failed_where_and_when_and_never_what_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    one = letter("m-1", time=time.time() - 3 * 3600)
    bury(one)
    assert dlq("list") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "id"
    assert [cell for cell in row.split("  ") if cell][:5] == [one.letter, "m-1", "mapping", "search", "sink"]
    assert row.split()[-2:] == ["2", "3h"]
    assert listed(capsys) == [
        {
            "id": one.letter, "origin_id": "m-1", "code": "mapping", "fork": "search", "step": "sink", "time": one.time,
            "receive_count": 2, "place": next(Path("dead").iterdir()).name, "state": "waiting", "redrives": 0, "redrive_code": "",
        }
    ]  # fmt: skip
    dlq("list", "--json")
    dlq("list")
    assert CARD not in capsys.readouterr().out


def test_a_list_is_narrowed_by_code_time_and_count_the_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    bury(letter("old", code="timeout", time=now - 7200))
    bury(letter("a"), letter("b", code="not_json"))
    bury(letter("c"))
    assert listed(capsys)[0]["origin_id"] == "c"
    assert {row["origin_id"] for row in listed(capsys, "--since", "1h")} == {"a", "b", "c"}
    assert [row["origin_id"] for row in listed(capsys, "--code", "not_json")] == ["b"]
    dlq("list", "--json", "--limit", "1")
    answer = printed(capsys)
    assert ([row["origin_id"] for row in answer["letters"]], answer["more"]) == (["c"], True)
    assert dlq("list", "--limit", "2") == 0
    assert "the newest 2; there are more" in capsys.readouterr().out


def test_a_letter_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    one = letter("m-1", amount=450.10)
    bury(one)
    assert dlq("show", one.letter) == 0
    text = capsys.readouterr().out
    assert '"amount": 450.1' in text
    shown = json.loads(text)
    assert shown["body"]["note"] == f"card {CARD}"
    assert shown["detail"] == f"amount 450.1 of card {CARD}"
    assert shown["attributes"] == {"amount": {"type": "Number", "value": "450"}}
    assert (shown["state"], shown["redrives"]) == ("waiting", [])
    assert dlq("show", one.letter, "--json") == 0
    assert printed(capsys)["body"] == one.body


def test_a_letter_is_also_found_by_the_id_of_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    origin = "8a4b7c3e-52d1-4f6e-9b0a-1d2c3e4f5a6b"
    one = letter(origin, 1)
    bury(one, letter("particular/7", 2), letter("third", 3))
    assert dlq("show", origin) == 0
    shown = printed(capsys)
    assert (shown["id"], shown["origin_id"]) == (one.letter, origin)
    assert dlq("show", "--origin", "particular/7", "--body") == 0
    assert '"amount": 2' in capsys.readouterr().out
    assert dlq("redrive", origin, "--origin", "particular/7") == 0
    assert sorted(sent()) == [f"{origin} 1", "particular/7 2"]
    assert dlq("redrive", "--origin", "elsewhere", "--origin", "third") == 2
    assert "dead: elsewhere; `forkstream dlq list` shows all there are" in capsys.readouterr().err


def test_of_several_letters_of_an_event_one_has_to_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = letter("again", 1), letter("again", 1)
    bury(one)
    bury(two)
    assert dlq("show", "--origin", "again") == 2
    said = capsys.readouterr().err
    assert "this event has 2 letters" in said
    assert one.letter in said
    assert two.letter in said
    Path("mended.json").write_text("{}")
    assert dlq("redrive", "--origin", "again", "--body", "mended.json") == 2
    assert "--body mends one letter, by its own id" in capsys.readouterr().err


def test_a_shown_letter_goes_into_a_file_for_its_owner_alone_and_replaces_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = letter("m-1")
    bury(one)
    assert dlq("show", one.letter, "--body", "--output", "mine.json") == 0
    assert Path("mine.json").read_bytes() == (one.body or "").encode()
    assert stat.S_IMODE(Path("mine.json").stat().st_mode) == 0o600
    assert capsys.readouterr().out == ""
    assert dlq("show", one.letter, "--output", "mine.json") == 2
    assert capsys.readouterr().err == "mine.json is there already, and is left as it is: name another file\n"


def test_a_redrive_sends_each_letter_once(capsys: pytest.CaptureFixture[str]) -> None:
    bury(letter("a", 1), letter("b", 2))
    bury(letter("c", 3, step="stages[0].sanitize"))
    assert dlq("redrive", "--all") == 0
    assert "sent 3" in capsys.readouterr().out
    assert sorted(sent()) == ["a 1", "b 2", "c 3"]
    assert dlq("redrive", "--all") == 0
    assert "already redriven 3" in capsys.readouterr().out
    assert len(sent()) == 3
    assert [row["state"] for row in listed(capsys)] == ["redriven"] * 3


def test_a_mended_letter_goes_through_and_the_others_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = letter("a", "450,-"), letter("b", "12")
    bury(one, two)
    assert dlq("redrive", one.letter) == 1
    out = capsys.readouterr().out
    assert f"{one.letter}  sink  failed again: mapping\n" in out
    assert "450,-" not in out
    assert dlq("redrive", one.letter, "--detail", "--json") == 1
    assert printed(capsys)["letters"][0]["detail"] == "amount: 450,- is no number"
    Path("mended.json").write_text('{"amount": 450.00}')
    assert dlq("redrive", one.letter, "--body", "mended.json") == 0
    assert sent() == ["a 450.00"]
    capsys.readouterr()
    assert {row["origin_id"]: row["state"] for row in listed(capsys)} == {"a": "redriven", "b": "waiting"}
    assert dlq("show", one.letter) == 0
    history = printed(capsys)["redrives"]
    assert [(each["attempt"], each["mark"], each["code"]) for each in history] == [
        (1, "claimed", ""), (1, "failed", "mapping"), (2, "claimed", ""), (2, "failed", "mapping"), (3, "claimed", ""),
        (3, "sent", "mended"),
    ]  # fmt: skip


def test_a_dry_run_sends_nothing_and_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    one = letter("a", 1)
    bury(one)
    before = sorted(Path("dead").rglob("*"))
    assert dlq("redrive", "--all", "--dry-run", "--json") == 0
    answer = printed(capsys)
    assert answer["letters"] == [
        {"id": one.letter, "origin_id": "a", "step": "sink", "outcome": "would be sent", "code": ""}
    ]
    assert sent() == []
    assert sorted(Path("dead").rglob("*")) == before
    Path("mended.json").write_text('{"amount":')
    assert dlq("redrive", one.letter, "--body", "mended.json", "--dry-run") == 2
    assert "the mended body is not JSON" in capsys.readouterr().err


def test_a_redrive_of_a_selection_leaves_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    bury(letter("a", 1, code="timeout"), letter("b", 2), letter("c", 3, time=time.time() - 7200))
    assert dlq("redrive", "--all", "--code", "mapping", "--since", "1h") == 0
    assert sent() == ["b 2"]


def test_letters_of_another_fork_in_the_same_place_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    bury(letter("a", 1), letter("o", 2, fork="other"))
    assert [row["origin_id"] for row in listed(capsys)] == ["a"]
    assert dlq("redrive", "--all") == 0
    assert sent() == ["a 1"]


def test_encrypted_letters_are_opened_with_the_configs_key_and_other_forks_are_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("search.key", "other.key"):
        Path(name).write_bytes(os.urandom(32))
    configure("""
        forks:
          search:
            source: memory
            sink: {particular: {file: out}}
            dead_letter: {stages: [compress, encrypt: {key_file: search.key}], sink: {file: {directory: dead, prefix: "x/%Y/"}}}
          other:
            source: memory
            sink: {particular: {file: out}}
            dead_letter: {stages: [encrypt: {key_file: other.key}], sink: {file: {directory: dead, prefix: x/}}}
    """)
    bury(letter("a", 1), partition="x/2018/")
    bury(letter("o", 9, fork="other"), partition="x/", fork="other")
    assert [row["origin_id"] for row in listed(capsys)] == ["a"]
    assert dlq("list") == 0
    assert dlq("redrive", "--all") == 0
    assert sent() == ["a 1"]


def test_what_cannot_be_read_is_named_skipped_and_not_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    bury(letter("a", 1))
    whole = next(Path("dead").iterdir())
    Path("dead", "01ARZ3NDEKTSV4RRFFQ69G5FAV.ndjson.zst").write_bytes(b"torn")
    Path("dead", "01ARZ3NDEKTSV4RRFFQ69G5FAW.ndjson").write_bytes(b'{"amount":1}\n' + letter("b", 2).encode() + b"\n")
    Path("dead", "01ARZ3NDEKTSV4RRFFQ69G5FAX.ndjson.rot13").write_bytes(b"{}")
    Path("dead", "notes.txt").write_text("not ours")
    Path("dead", ".0123456789abcdef.tmp").write_text("a crash's")
    assert dlq("list") == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "skipped 01ARZ3NDEKTSV4RRFFQ69G5FAX.ndjson.rot13: unknown_suffix",
        "skipped 01ARZ3NDEKTSV4RRFFQ69G5FAW.ndjson, line 1: not_a_letter",
        "skipped 01ARZ3NDEKTSV4RRFFQ69G5FAV.ndjson.zst: damaged_object",
    ]
    assert whole.name not in captured.err
    assert dlq("redrive", "--all") == 1
    assert sorted(sent()) == ["a 1", "b 2"]
    assert "damaged_object" in capsys.readouterr().err


def test_without_the_key_the_letters_are_named_as_unreadable(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old.key", "new.key"):
        Path(name).write_bytes(os.urandom(32))
    encrypted = CONFIG.replace("stages: [compress]", "stages: [encrypt: {key_file: old.key}]")
    configure(encrypted)
    bury(letter("a", 1))
    configure(encrypted.replace("old.key", "new.key"))
    assert dlq("list") == 1
    assert "missing_key" in capsys.readouterr().err


def test_a_letter_cannot_steer_a_terminal_or_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    bury(letter("\x1b[31m[bold]m\u202e", code="a\nb"), letter("x", letter="../../../../tmp/x"))
    assert dlq("list") == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out
    assert "\u202e" not in captured.out
    assert "[bold]m" in captured.out
    assert len(captured.out.splitlines()) == 2
    assert "not_a_letter" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["redrive"], "say which letters: their ids, as `forkstream dlq list` shows them, or --all"),
        (["redrive", "--all", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "say which letters"),
        (["redrive", "--all", "--body", "x"], "--body mends one letter, by its own id; found 0"),
        (
            ["redrive", "a.yaml", "b.yaml", "--all"],
            "expected one config, and letters by their ids, found a.yaml, b.yaml; an origin id that is no UUID",
        ),
        (["redrive", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "no such letter of this fork in "),
        (["show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], "no such letter of this fork in "),
        (
            ["show", "01ARZ3NDEKTSV4RRFFQ69G5FA"],
            "01ARZ3NDEKTSV4RRFFQ69G5FA has not the shape of an id (26 capitals and digits, or a UUID)",
        ),
        (
            ["redrive", "01ARZ3NDEKTSV4RRFFQ69G5FA"],
            "01ARZ3NDEKTSV4RRFFQ69G5FA has not the shape of an id (26 capitals and digits, or a UUID)",
        ),
        (["show"], "expected one letter by its id, found 0"),
        (["list", "--since", "yesterday"], "--since: expected a number with a unit"),
    ],
)
def test_what_cannot_be_meant_is_said(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dlq(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dead_letter", "message"),
    [
        ("", "fork search has no dead_letter: what fails for good stays with its source"),
        ("dead_letter: {sink: blackhole}", "go to dead_letter.sink.blackhole, which cannot be read back"),
    ],
)
def test_where_no_dead_letters_can_be_read_it_says_where_such_events_are(
    dead_letter: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(f"forks: {{search: {{source: memory, sink: blackhole, {dead_letter}}}}}")
    for command in (["list"], ["redrive", "--all"], ["show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]):
        assert dlq(*command) == 2
        assert message in capsys.readouterr().err


def test_a_directory_that_is_not_there_yet_holds_no_letters(capsys: pytest.CaptureFixture[str]) -> None:
    assert dlq("list") == 0
    assert dlq("redrive", "--all") == 0
    assert capsys.readouterr().out == "no dead letters\n" * 2


def test_plugins_find_their_switches_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    Path("switched.py").write_text(
        textwrap.dedent("""
            from collections.abc import Collection, Sequence
            from pathlib import Path
            from forkstream import Event, EventSink, Failure, Settings

            class Switched(EventSink[Settings]):
                def write(self, events: Sequence[Event]) -> Collection[Failure]:
                    Path("out").write_text(f"{self.context.switches('bug')}\\n")
                    return ()
        """)
    )
    configure(CONFIG.replace("particular: {file: out}", "switched: {}") + "    control: file:control.json\n")
    Path("control.json").write_text('{"switches":{"bug":true}}')
    bury_with = ["--plugin", "switched.py"]
    plan = load_config(forks=["search"], registry=Registry.installed([Path("switched.py")])).plans[0]
    assert plan.dead_letter
    Path("dead").mkdir()
    Path("dead", "01ARZ3NDEKTSV4RRFFQ69G5FAW.ndjson").write_bytes(letter("b", 2).encode() + b"\n")
    assert run("dlq", "redrive", *bury_with, "--fork", "search", "--all") == 0
    assert sent() == ["True"]


def test_a_fork_with_objects_gets_its_letters_in_objects_of_its_own_format(capsys: pytest.CaptureFixture[str]) -> None:
    configure("""
        forks:
          search:
            source: memory
            stages: [sanitize: {drop: [note]}, compress]
            sink: {file: {directory: backup, prefix: orders/}}
            dead_letter: {sink: {file: {directory: dead}}}
    """)
    plain = [letter(str(number), 1, code="not_json", body="no json") for number in range(10)]
    bury(*plain[:5], letter("x", 1), letter("y", 2, step="stages[0].sanitize"), *plain[5:])
    assert dlq("redrive", "--all", "--json") == 1
    answer = printed(capsys)
    assert answer["counts"] == {"sent": 2, "failed again": 10}
    assert answer["trouble"] == ""
    written = [decompress(path.read_bytes(), ".zst") for path in Path("backup/orders").glob("*.ndjson.zst")]
    assert sorted(filter(None, written)) == [b'{"amount": 1, "note": "card 4111111111111111"}\n', b'{"amount":2}\n']
