"""``forkstream config``: every value that holds, where it is from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli_kit import run

SECRET = "hunter2hunter2"
TEXT = """\
forks:
  one:
    source: {sqs: {queue: "${QUEUE:-orders}"}}
    stages:
      - sanitize: {drop: [card, "items[*].note"], hash: {key: "${KEY}", paths: [customer]}}
      - compress: {level: 3}
    sink: {s3: &bucket {bucket: backup, prefix: "in/${file:token}/"}}
    batch: {max_age: 60s}
  two:
    source: memory
    sink: {http: {url: "https://example.com/${MISSING:-x}", headers: {Authorization: "Bearer ${KEY} ${MORE:-hunter2hunter2}"}}}
    dead_letter: {sink: {s3: {<<: *bucket, prefix: dead/}}}
  three: {source: memory, sink: blackhole}
admin: {token: "${file:token}"}
aws: {endpoint_url: "https://user:pass@example.com"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("KEY", "k" * 32)
    Path("token").write_text(SECRET)
    Path("forkstream.yaml").write_text(TEXT)


def values(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, tuple[Any, str]]:
    assert run("config", "--json", *options) == 0
    printed = capsys.readouterr().out
    assert SECRET not in printed
    assert "k" * 32 not in printed
    return {each["path"]: (each["value"], each["origin"]) for each in json.loads(printed)}


def test_each_value_is_shown_with_where_it_is_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKSTREAM_FORKS__ONE__CONCURRENCY", "9")
    found = values(capsys)
    expected = {
        "forks.one.source.sqs.queue": ("orders", "forkstream.yaml:3:27 ${QUEUE:-orders}"),
        "forks.one.source.sqs.envelope": ("auto", "default"),
        "forks.one.stages[0].sanitize.drop[1]": ("items[*].note", "forkstream.yaml:5:33"),
        "forks.one.stages[0].sanitize.hash.key": ("********", "forkstream.yaml:5:63 ${KEY}"),
        "forks.one.stages[0].sanitize.mask": ("[]", "default"),
        "forks.one.stages[1].compress.level": (3, "forkstream.yaml:6:27"),
        "forks.one.sink.s3.prefix": ("********", "forkstream.yaml:7:49 ${file:token}"),
        "forks.one.sink.s3.part_size": ("8MiB", "default"),
        "forks.one.batch.max_age": ("1m", "forkstream.yaml:8:22"),
        "forks.one.batch.max_bytes": ("5MiB", "default of sink.s3"),
        "forks.one.batch.max_events": (10_000, "default of sink.s3"),
        "forks.one.concurrency": (9, "$FORKSTREAM_FORKS__ONE__CONCURRENCY"),
        "forks.one.paused": (False, "default"),
        "forks.one.dead_letter": (None, "default"),
        "forks.two.sink.http.headers.Authorization": ("********", "forkstream.yaml:11:86 ${KEY} ${MORE:-…}"),
        "forks.two.dead_letter.sink.s3.bucket": ("backup", "forkstream.yaml:7:33"),
        "forks.two.dead_letter.sink.s3.prefix": ("dead/", "forkstream.yaml:12:52"),
        "forks.three.sink": ("blackhole", "forkstream.yaml:13:33"),
        "admin.token": ("********", "forkstream.yaml:14:16 ${file:token}"),
        "log.level": ("info", "default"),
    }
    assert {path: found.get(path) for path in expected} == expected


def test_it_says_for_a_machine_what_kind_of_origin_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKSTREAM_LOG__LEVEL", "debug")
    assert run("config", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    sources = {each["path"]: each["source"] for each in rows}
    assert sources["forks.one.batch.max_age"] == "file"
    assert sources["log.level"] == "environment"
    assert sources["log.format"] == "default"
    assert len(sources) == len(rows)


def test_a_password_in_a_url_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    assert values(capsys)["aws.endpoint_url"][0] == "https://********@example.com"


def test_lines_can_be_searched_and_leave_out_what_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "--fork", "three") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("forks.three.source.memory.ordered")] == ["default"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["forks.three.source.memory.ordered"] == ["false", "default"]
    assert rows["forks.three.sink"] == ["blackhole", "forkstream.yaml:13:33"]
    assert "forks.three.dead_letter" not in rows
    assert not any(line.startswith("forks.one") for line in lines)
    assert SECRET not in "".join(lines)


def test_a_fork_alone_needs_only_its_own_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    Path("forkstream.yaml").write_text(TEXT.replace('admin: {token: "${file:token}"}\n', ""))
    Path("token").unlink()
    assert "forks.three.sink" in values(capsys, "--fork", "three")
    assert run("config", "--fork", "one") == 2
    assert "there is no such file: make it" in capsys.readouterr().err


def test_a_secret_too_short_to_be_searched_for_is_masked_where_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    Path("token").write_text("abc")
    Path("forkstream.yaml").write_text(TEXT.replace("in/${file:token}/", "${file:token}"))
    assert values(capsys)["forks.one.sink.s3.prefix"][0] == "********"
