"""``forkstream bench`` from the command line to its figures, in runs of a moment: what it measures, never how fast it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forkstream.bench.figures import Report
from tests.cli_kit import run

ORDER = b'{"id":7,"date":"2026-01-01T00:00:00+00:00","customer":{"id":1},"payment":{"id":2,"amount":450.00,"currency":"usd"}}'
FORKS = ("backup", "search", "replay", "checkout")
SMALL_BATCHES = [word for fork in FORKS for word in ("--set", f"forks.{fork}.batch.max_events=100")]
SHORT = ("--duration", "500ms", "--warm-up", "0s", "--repeats", "1")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(ORDER.replace(b'"id":7', b'"id":%d' % number) for number in range(2000)))
    return path


def bench(capsys: pytest.CaptureFixture[str], events: Path, *arguments: str) -> Report:
    assert run("bench", *SHORT, *arguments, "--events", str(events), "--json") == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=Report)
    for found in report.measurements:
        for repeat in found.repeats:
            assert repeat.settled > 0
            assert repeat.cpu_us > 0
            assert repeat.largest_rss > 2**20
            assert (repeat.left_behind, repeat.refused) == (0, 0)
    return report


def test_all_forks_at_once_settle_what_they_receive(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, events, "all", "--no-profile", *SMALL_BATCHES)
    (found,) = report.measurements
    counted = found.typical.requests
    assert counted["puts"] > 0
    assert counted["documents"] > 0
    assert counted["items"] > 0
    assert counted["sent"] > 0
    assert found.typical.service["batch_closed_total count"] > 0


def test_a_config_of_ones_own_reaches_the_stub_and_nothing_else(
    events: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config: Any = {
        "forks": {
            "mine": {
                "source": {"sqs": {"queue": "${MY_QUEUE}", "envelope": "raw"}},
                "sink": {"opensearch": {"url": "https://search.example.com", "index": "orders"}},
                "paused": True,
                "aws": {"endpoint_url": "http://192.0.2.1", "role_arn": "arn:aws:iam::123456789012:role/r"},
                "stages": [{"sanitize": {"hash": {"key": "${ssm:/orders/hash-key}", "paths": ["customer.id"]}}}],
            }
        },
        "aws": {"profile": "production"},
    }
    path = tmp_path / "mine.json"
    path.write_bytes(msgspec.json.encode(config))
    setting = ("--set", "forks.mine.batch.max_age=20ms")
    (found,) = bench(capsys, events, str(path), "--no-profile", "--rate", "2000/s", *setting).measurements
    assert found.settings == ("forks.mine.batch.max_age=20ms",)
    assert found.notes == (
        "made up: MY_QUEUE=bench-my-queue",
        "made up: 1 secrets that the config reads from AWS",
    )
    assert found.latency
    assert found.typical.requests["documents"] > 0


def test_any_other_consumer_is_measured_the_same_way(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = Path(__file__).parents[1] / "bench" / "peers" / "boto3_loop.py"
    (found,) = bench(capsys, events, "--external", f"{sys.executable} {loop} s3").measurements
    assert found.typical.requests["puts"] == pytest.approx(0.1, rel=0.5)
    assert found.typical.service == {}


def test_a_command_that_is_not_there_is_an_error_that_says_so(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", *SHORT, "--events", str(events), "--external", "no-such-consumer") == 2
    assert "no-such-consumer: No such file or directory: is it installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--duration", "0s"], "--duration: expected more than nothing, such as 5s, found '0s'\n"),
        (["--html", "nowhere/x.html"], "--html: nowhere/x.html is no place that can be written to: name a file"),
        (["--html", "."], "--html: . is a directory: name a file"),
        (["backup", "--fork", "other"], "--fork picks forks of a config: name one"),
        (["--fork", "other"], "--fork picks forks of a config: name one"),
        (["bakcup"], "bakcup: no scenario, and no file of a config, did you mean backup?\n"),
        (["nothing"], "nothing: no scenario, and no file of a config; scenarios: drain, "),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run("bench", *arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith(complaint)
    assert output.out == ""


def test_the_problems_of_a_config_are_told_of_the_file_that_was_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("forks: {mine: {source: {sqs: {queue: q}}, sink: {s3: {bukcet: b}}}}")
    assert run("bench", str(path), *SHORT) == 2
    assert f"{path}:1:55: forks.mine.sink.s3.bukcet: no such setting" in capsys.readouterr().err


def test_a_sink_that_is_not_the_stubs_gets_no_made_up_event(
    events: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("forks: {mine: {source: {sqs: {queue: q}}, sink: {http: {url: 'https://example.com'}}}}")
    assert run("bench", str(path), *SHORT, "--events", str(events)) == 2
    assert "its sink http would get made-up events" in capsys.readouterr().err
