"""What ``forkstream check`` warns of without asking anyone: each warning is provoked, and stands where its cause does."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.cli_kit import run

PLUGIN = '''
from __future__ import annotations
from collections.abc import Collection, Sequence
from forkstream import Advice, Event, EventSink, Failure, Settings, Surroundings, TransientError

class OddConfig(Settings):
    """What to say."""
    value: str = "x"
    broken: bool = False

class Odd(EventSink[OddConfig]):
    """Warns of everything."""

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        if self.config.broken:
            raise {"x": TransientError("throttled", "nobody is at home"), "bug": KeyError("ouch")}[self.config.value]
        return [Advice(code="odd", found=f"value is {self.config.value}", why="it is odd", do="even it", setting="value")]

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return []
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORKSTREAM_CONFIG", raising=False)
    Path("odd.py").write_text(PLUGIN)


def check(capsys: pytest.CaptureFixture[str], text: str, *options: str) -> dict[str, Any]:
    Path("forkstream.yaml").write_text(textwrap.dedent(text).lstrip("\n"))
    code = run("check", "--json", "--plugin", "odd.py", *options)
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**answer, "code": code}


def warned(capsys: pytest.CaptureFixture[str], text: str, *options: str) -> list[str]:
    """Each warning as ``line:column code at path: found; do``, without the fork's path."""
    answer = check(capsys, text, *options)
    assert answer["code"] == 0
    return [
        f"{each['line']}:{each['column']} {each['code']} at {each['path'].removeprefix('forks.one.')}: "
        f"{each['found']}; {each['do']}"
        for each in answer["warnings"]
    ]


def one(*lines: str) -> str:
    return "\n".join(["forks:", "  one:", *(f"    {line}" for line in lines)])


SQS = "source: {sqs: {queue: q, envelope: raw}}"


def test_sanitize_before_a_sink_that_leaves_it_in_the_clear(capsys: pytest.CaptureFixture[str]) -> None:
    stages = "stages: [sanitize: {drop: [card]}, compress]"
    assert warned(capsys, one(SQS, stages, "sink: {s3: {bucket: abc, sse: AES256}}")) == [
        (
            "5:12 sanitized_in_the_clear at sink.s3: sse: AES256; add the stage encrypt, or sse: {kms_key: …} with a key "
            "that few may use"
        )
    ]
    assert "no sse, so the bucket's own" in warned(capsys, one(SQS, stages, "sink: {s3: {bucket: abc}}"))[0]
    assert warned(capsys, one(SQS, stages, "sink: {file: {directory: d}}"))[0].startswith("5:12 sanitized_in_the_clear")
    dead = "dead_letter: {sink: {file: {directory: d}}}"
    (warning,) = warned(capsys, one(SQS, "stages: [sanitize: {drop: [card]}]", "sink: blackhole", dead))
    assert warning.startswith("6:26 sanitized_in_the_clear at dead_letter.sink.file")


def test_no_warning_where_what_was_sanitized_is_encrypted_or_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    for stages, sink in (
        ("stages: [sanitize: {drop: [card]}]", "sink: {s3: {bucket: abc, sse: {kms_key: k}}}"),
        ("stages: [sanitize: {drop: [card]}, encrypt: {kms_key: k}]", "sink: {s3: {bucket: abc}}"),
        ("stages: [compress]", "sink: {s3: {bucket: abc}}"),
    ):
        assert warned(capsys, one(SQS, stages, sink)) == []


def test_index_before_sanitize(capsys: pytest.CaptureFixture[str]) -> None:
    index, sanitize = "index: {name: orders, id: id}", "sanitize: {drop: [card]}"
    sink = "sink: {opensearch: {url: 'http://localhost:1'}}"
    assert warned(capsys, one(SQS, f"stages: [{index}, {sanitize}]", sink)) == [
        (
            "4:14 index_before_sanitize at stages[0].index: a stage that sanitizes (Sanitize) comes after this one;"
            " put it before this stage"
        )
    ]
    assert warned(capsys, one(SQS, f"stages: [{sanitize}, {index}]", sink)) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["stages: [encrypt: {kms_key: k}]"], ["encrypted on this side"]),
        (["stages: [compress: {algorithm: zip}]"], [".zip objects"]),
        (["stages: [compress: {algorithm: snappy}]", "format: json"], [".sz objects", "one JSON array an object"]),
        (["stages: [compress: {algorithm: gzip}]"], []),
        (["stages: [compress]"], []),
    ],
)
def test_objects_that_athena_cannot_read_where_athena_is_wanted(
    capsys: pytest.CaptureFixture[str], lines: list[str], found: list[str]
) -> None:
    told = warned(capsys, one("source: memory", "sink: {s3: {bucket: abc, athena: true}}", *lines))
    assert [each.partition(";")[0] for each in told] == [
        f"4:38 not_for_athena at sink.s3.athena: athena wants objects for Athena, found {what}" for what in found
    ]
    assert warned(capsys, one("source: memory", "sink: {s3: {bucket: abc}}", *lines)) == []


def test_a_batch_larger_than_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["batch:", "  max_events: 6000", "  max_bytes: 65MiB", "budget: {max_events: 5000, max_bytes: 64MiB}"]
    assert warned(capsys, one("source: memory", "sink: blackhole", *lines)) == [
        "6:19 batch_unreachable at batch.max_events: a batch of 6000 events; the largest that can be reached is 5000",
        "7:18 batch_unreachable at batch.max_bytes: a batch of 65MiB; the largest that can be reached is 64MiB",
    ]


def test_a_budget_and_a_batch_beyond_the_queue_s_quota(capsys: pytest.CaptureFixture[str]) -> None:
    text = one(SQS, "sink: blackhole", "batch: {max_events: 35000}", "budget: {max_events: 40000}")
    assert warned(capsys, text, "--workers", "3") == []
    assert warned(capsys, text, "--workers", "4") == [
        "5:25 batch_unreachable at batch.max_events: a batch of 35000 events; the largest that can be reached is 30000",
        (
            "6:26 budget_beyond_quota at budget.max_events: the budget is 40000 events in each of 4 workers;"
            " the largest that can be reached is 30000"
        ),
    ]


def test_a_window_longer_than_the_queue_lets_anyone_hold(capsys: pytest.CaptureFixture[str]) -> None:
    text = one(SQS, "sink: blackhole", "batch: {max_age: 12h}")
    assert warned(capsys, text) == [
        (
            "5:22 window_beyond_hold at batch.max_age: a batch may wait 12h, and its write 6m more;"
            " the largest max_age that leaves time to write is 714m"
        )
    ]
    assert warned(capsys, text.replace("12h", "714m")) == []


def test_a_window_in_which_more_events_come_than_may_be_held(capsys: pytest.CaptureFixture[str]) -> None:
    text = one("source: memory", "sink: blackhole", "batch: {max_age: 60s}", "budget: {max_events: 20000}")
    assert warned(capsys, text, "--rate", "333/s") == []
    assert warned(capsys, text, "--rate", "500/s") == [
        (
            "5:22 window_unreachable at batch.max_age: in 1m come 30000 events to a worker at 500/s;"
            " the largest max_age that can be reached is 40s, or add workers"
        )
    ]
    assert warned(capsys, text, "--rate", "500/s", "--workers", "2") == []


def test_budgets_that_are_more_than_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        one("source: memory", "sink: blackhole", "budget: {max_bytes: 200MiB}")
        + "\n  two: {source: memory, sink: blackhole, budget: {max_bytes: 64MiB}}"
    )
    assert warned(capsys, text, "--memory", "384MiB") == []  # 120 MiB of an idle worker, and 264 MiB
    assert warned(capsys, text, "--memory", "380MiB") == [
        (
            "5:25 budget_beyond_memory at budget.max_bytes: the budgets of 2 forks and 1 workers add up to 264MiB, and the"
            " memory is 380MiB; the largest that fits, if all forks have it, is 130MiB; or give it more memory"
        )
    ]
    assert len(warned(capsys, text, "--memory", "384MiB", "--workers", "2")) == 2
    assert warned(capsys, text, "--memory", "768MiB", "--workers", "2") == []


@pytest.mark.parametrize(("option", "value"), [("--workers", "many"), ("--memory", "512"), ("--rate", "500")])
def test_what_it_is_meant_for_has_to_be_told_with_units(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert run("check", option, value) == 2
    assert capsys.readouterr().err.startswith(f"{option}: expected ")


def test_more_attributes_named_than_sns_delivers_raw(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a{number}" for number in range(9)]
    sanitize = f"sanitize: {{attributes: {{keep: [{', '.join(names)}, 'b*'], mask: [c]}}}}"
    policy = 'filter: {unmatched: drop, policy: {c: ["x"], d: ["y"]}}'
    text = one(SQS, f"stages: [{sanitize}, {policy}]", "sink: blackhole")
    (warning,) = warned(capsys, text)
    assert warning.startswith("3:14 too_many_attributes at source.sqs: the stages name 11 message attributes (a0, a1,")
    assert warned(capsys, text.replace('d: ["y"]', 'a1: ["y"]')) == []
    assert warned(capsys, text.replace("envelope: raw", "envelope: sns")) == []


def test_a_plugin_of_a_stranger_warns_through_the_same_door(capsys: pytest.CaptureFixture[str]) -> None:
    answer = check(capsys, one("source: memory", "sink:", "  odd:", "    value: y"))
    assert answer["warnings"] == [
        {
            "file": "forkstream.yaml",
            "line": 6,
            "column": 16,
            "path": "forks.one.sink.odd.value",
            "fork": "one",
            "code": "odd",
            "found": "value is y",
            "why": "it is odd",
            "do": "even it",
        }
    ]
    assert (answer["ok"], answer["code"]) == (True, 0)


def test_warnings_are_sorted_by_place_and_shown_without_failing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("forkstream.yaml").write_text(
        "forks:\n  a: {source: memory, sink: odd, batch: {max_events: 9}, budget: {max_events: 8}}\n"
        "  b: {source: memory, sink: {odd: {value: z}}}\n"
    )
    assert run("check", "--plugin", "odd.py") == 0
    assert capsys.readouterr().out.splitlines()[3:] == [
        "forkstream.yaml:2:29: warning: forks.a.sink.odd.value: value is x (odd)",
        "    it is odd",
        "    → even it",
        "forkstream.yaml:2:54: warning: forks.a.batch.max_events: a batch of 9 events (batch_unreachable)",
        "    the budget (budget.max_events) lets a worker hold 8, so each batch is closed by pressure instead, once it stands still",
        "    → the largest that can be reached is 8",
        "forkstream.yaml:3:43: warning: forks.b.sink.odd.value: value is z (odd)",
        "    it is odd",
        "    → even it",
        "",
        "forkstream.yaml: ok, 3 warnings",
    ]


def test_a_warning_of_an_override_names_its_variable_and_comes_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "FORKSTREAM_FORKS__ONE__BATCH__MAX_EVENTS"
    monkeypatch.setenv(variable, "30000")
    answer = check(capsys, one("source: memory", "sink: odd"))
    assert [(each["code"], each["file"]) for each in answer["warnings"]] == [
        ("odd", "forkstream.yaml"),
        ("batch_unreachable", f"${variable}"),
    ]


def test_strict_lets_a_warning_fail_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    answer = check(capsys, one("source: memory", "sink: odd"), "--strict")
    assert (answer["ok"], answer["code"], len(answer["warnings"])) == (False, 1, 1)
    assert run("check", "--strict", "--plugin", "odd.py") == 1
    assert capsys.readouterr().out.endswith("forkstream.yaml: in order, but --strict refuses 1 warning\n")
    assert check(capsys, one("source: memory", "sink: blackhole"), "--strict")["code"] == 0


def test_what_a_plugin_cannot_find_out_is_told_and_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    text = one("source: memory", "sink: {odd: {broken: true}}")
    answer = check(capsys, text, "--connect", "--strict")
    assert (answer["code"], answer["warnings"], answer["findings"]) == (0, [], [])
    assert [each["found"] for each in answer["unanswered"]] == ["what it would advise: throttled (nobody is at home)"]
    assert run("check", "--connect", "--plugin", "odd.py") == 0
    assert "sink.odd: not looked at: what it would advise: throttled" in capsys.readouterr().out


def test_a_bug_in_advice_is_not_a_plugin_that_cannot_work(capsys: pytest.CaptureFixture[str]) -> None:
    answer = check(capsys, one("source: memory", "sink: {odd: {broken: true, value: bug}}"), "--connect")
    assert (answer["ok"], answer["findings"]) == (True, [])
    assert [each["found"] for each in answer["unanswered"]] == ["what it would advise: unexpected (KeyError: 'ouch')"]


def test_no_warning_shows_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    Path("secret").write_text("hunter2hunter2")
    (warning,) = warned(capsys, one("source: memory", "sink: {odd: {value: '${file:secret}'}}"))
    assert "value is ********" in warning


def test_the_readme_knows_every_warning() -> None:
    root = Path(__file__).parents[2]
    table = (root / "README.md").read_text().partition("| code | warns of |")[2].partition("\n\n")[0]
    told = {code for line in table.splitlines()[2:] for code in re.findall(r"`(\w+)`", line.split("|")[1])}
    written = {
        code
        for path in (root / "forkstream").rglob("*.py")
        for code in re.findall(r"^ +code=\"(\w+)\",$", path.read_text(), re.MULTILINE)
    }
    assert told == written


TEN_MISTAKES = """
    forks:
      storage-backup:
        source: {sqs: {queue: "${QUEUE_THAT_IS_NOT_SET}"}}
        stages:
          - sanitise: {drop: ["payment.card-*"]}
          - compress: {algorithm: brotli}
        sink: {s3: {bucket: orders, sse: AES}}
        batch: {max_age: 60}
        concurency: 4
      search:
        source: memory
        sink: blackhol
        retry: {max_elapsed: 3h}
        dead_letter: {sink: stdout, max_ratio: 2}
    aws: {region: eu-west-1, region: eu-west-2}
"""


def test_a_file_with_ten_mistakes_shows_ten_by_name_and_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistakes = [
        (3, "forks.storage-backup.source.sqs.queue"),
        (5, "forks.storage-backup.stages[0]"),
        (6, "forks.storage-backup.stages[1].compress.algorithm"),
        (7, "forks.storage-backup.sink.s3.sse"),
        (8, "forks.storage-backup.batch.max_age"),
        (9, "forks.storage-backup.concurency"),
        (12, "forks.search.sink"),
        (13, "forks.search.retry.max_elapsed"),
        (14, "forks.search.dead_letter.max_ratio"),
        (15, "aws.region"),
    ]
    answer = check(capsys, TEN_MISTAKES)
    assert [(each["line"], each["path"]) for each in answer["problems"]] == mistakes
    assert answer["code"] == 2

    monkeypatch.setenv("FORKSTREAM_LOG__LEVLE", "debug")  # and what the environment has wrong comes last
    *same, last = check(capsys, TEN_MISTAKES)["problems"]
    assert [(each["line"], each["path"]) for each in same] == mistakes
    assert (last["file"], last["path"]) == ("$FORKSTREAM_LOG__LEVLE", "log")
