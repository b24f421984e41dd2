"""``forkstream cost``: what it reckons with, worked out by hand here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli_kit import run

SHIPPED = Path(__file__).parents[2] / "deploy" / "ecommerce.yaml"
MONTH = 730 * 3600
CONFIG = """
forks:
  backup:
    source: {sqs: {queue: orders}}
    stages: [compress, encrypt: {kms_key: "${KEY}"}]
    sink: {s3: {bucket: "${BUCKET}"}}
    batch: {max_age: 10s, max_bytes: 100MiB, max_events: 1000000}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "forkstream.yaml"
    path.write_text(CONFIG)
    return path


def cost(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run("cost", *arguments, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def lines(answer: dict[str, Any], fork: int = 0) -> dict[tuple[str, str], float]:
    return {(line["what"], line["unit"]): line["per_second"] for line in answer["forks"][fork]["lines"]}


def test_requests_follow_the_rate_and_the_batch_limits(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = cost(capsys, str(config), "--rate", "10000/s", "--tasks", "1", "--event-size", "500B")
    assert lines(answer) == {
        ("source.sqs", "sqs_request"): pytest.approx(1000 + 1000),
        ("stages[1].encrypt", "kms_request"): pytest.approx(0.1),  # an object each 10 s: 50 MB
        ("sink.s3", "s3_put"): pytest.approx(0.1 * (6 + 2)),  # 50 MB in six parts of 8 MiB
    }
    line = answer["forks"][0]["lines"][0]
    assert line["usd_per_month"] == pytest.approx(2000 * MONTH * 0.40e-6)


def test_each_task_gathers_batches_of_its_own(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = lines(cost(capsys, str(config), "--rate", "100/s", "--tasks", "1"))
    four = lines(cost(capsys, str(config), "--rate", "100/s", "--tasks", "4"))
    assert four["sink.s3", "s3_put"] == pytest.approx(4 * one["sink.s3", "s3_put"])


def test_large_messages_are_billed_by_64_kb(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = cost(capsys, str(config), "--rate", "1000/s", "--tasks", "1", "--event-size", "100KiB")
    # a receive of ten is 1,000 KiB, 16 chunks of 64 KiB; a delete has no payload
    assert lines(answer)["source.sqs", "sqs_request"] == pytest.approx(100 * 16 + 100)


def test_an_idle_fork_is_one_long_poll_in_twenty_seconds(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(cost(capsys, str(config), "--rate", "0/s", "--tasks", "1")) == {("source.sqs", "sqs_request"): 0.05}


def test_tasks_are_sized_by_the_cpu_of_an_event(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = cost(capsys, str(config), "--rate", "100000/s", "--cpu", "24")["tasks"]
    assert tasks == {"count": 4, "vcpu": 1.0, "gigabytes": 2.0, "busy": pytest.approx(0.6)}
    small = cost(capsys, str(config), "--rate", "100/s", "--cpu", "24")["tasks"]
    assert (small["count"], small["vcpu"]) == (1, 0.25)


def test_the_shipped_config_needs_no_variable_and_a_paused_fork_costs_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHECKOUT_QUEUE", "OPENSEARCH_URL", "KMS_KEY"):
        monkeypatch.delenv(name, raising=False)
    answer = cost(capsys, str(SHIPPED), "--rate", "1000/s", "--rate", "search-analytics=400/s")
    assert [(fork["name"], fork["events_per_second"]) for fork in answer["forks"]] == [
        ("checkout", 1000),
        ("storage-backup", 1000),
        ("search-analytics", 400),
        ("replay", 0),
    ]
    assert answer["forks"][3]["usd_per_month"] == 0
    woken = cost(capsys, str(SHIPPED), "--rate", "1000/s", "--rate", "replay=50/s")
    assert woken["forks"][3]["usd_per_month"] > 0


def test_firehose_rounds_each_record_up_to_5_kb(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = cost(capsys, str(config), "--rate", "1000/s")
    theirs = {(line["what"], line["unit"]): line["per_second"] for line in answer["lambda_and_firehose"][0]["lines"]}
    assert theirs["Firehose", "firehose_gb"] == pytest.approx(1000 * 5 * 1024 / 2**30)


def test_the_table_names_the_sum_and_its_assumptions(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = cost(capsys, str(config), "--rate", "1000/s")
    assert run("cost", str(config), "--rate", "1000/s") == 0
    shown = capsys.readouterr().out
    assert f"{answer['usd_per_month']:,.2f} $ a month" in shown
    assert "us-east-1, 2026-03" in shown
    assert "10 messages an invocation" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "fast"], "--rate fast: expected a number with a unit"),
        (["--rate", "serch=5/s"], "the config has no fork serch"),
        (["--event-size", "big"], "--event-size big: expected a number with a unit"),
        (["--event-size", "0B"], "has a byte at least"),
    ],
)
def test_what_cannot_be_read_is_named(
    arguments: list[str], words: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("cost", str(config), *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_price_list_of_ones_own(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text("region: eu-central-1\ndate: 2026-11\nunits: {sqs_request: {usd: 1.0, source: mine}}\n")
    assert run("cost", str(config), "--prices", str(own)) == 2
    assert "has no unit" in capsys.readouterr().err
    own.write_text("region: eu-central-1\nunits: {}\n")
    assert run("cost", str(config), "--prices", str(own)) == 2
    assert f"{own}: no price list: Object missing required field `date`" in capsys.readouterr().err


def test_the_help_says_which_rate_holds_if_none_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cost", "--help") == 0
    assert "1000/s if left out" in " ".join(capsys.readouterr().out.replace("│", " ").split())
