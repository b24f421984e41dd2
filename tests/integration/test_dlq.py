"""Dead letters that a real fork wrote to AWS, seen and sent again from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.assembly import flow_of
from forkstream.config.loading import load_config
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.dlq import queue_store
from forkstream.event import Event
from forkstream.letters import Letter, letter_of
from forkstream.registry import Registry
from forkstream.service import Service
from forkstream.ulid import ulid
from tests.cli_kit import run
from tests.dlq_kit import letters

PLUGIN = Path(__file__).parents[1] / "dlq_plugin.py"
CARD = "4111111111111111"


@pytest.fixture(autouse=True)
def here(aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("INSTANT", raising=False)
    monkeypatch.setattr(queue_store, "WAIT", 0.0)  # the embedded AWS is one server: what it has it hands out at once
    return tmp_path


@pytest.fixture
def queue(unique: str) -> str:
    boto3.client("sqs").create_queue(QueueName=unique)
    return unique


@pytest.fixture
def bucket(unique: str) -> str:
    boto3.client("s3").create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return unique


def configure(queue: str, dead_letter: str) -> None:
    Path("forkstream.yaml").write_text(
        textwrap.dedent(f"""
            forks:
              search:
                source: {{sqs: {{queue: {queue}, envelope: raw}}}}
                stages:
                  - sanitize: {{drop: ["card"]}}
                sink: {{particular: {{file: out}}}}
                batch: {{max_age: 100ms}}
                dead_letter: {{{dead_letter}, max_ratio: 1}}
        """)
    )


def dlq(command: str, *arguments: str) -> int:
    return run("dlq", command, "--plugin", str(PLUGIN), "--fork", "search", *arguments)


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    dlq("list", "--json", *arguments)
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["letters"]
    return rows


def sent() -> Counter[str]:
    """How often each event reached the destination."""
    lines = Path("out").read_text().splitlines() if Path("out").exists() else []
    return Counter(line.split()[0] for line in lines)


def publish(queue: str, amounts: list[object]) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for amount in amounts:
        body = json.dumps({"amount": amount, "card": CARD})
        attribute = {"amount": {"DataType": "Number", "StringValue": "1"}}
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attribute)


async def serve_until(dead: Callable[[], int], count: int) -> None:
    """Run the fork until so many dead letters lie where they go."""
    loaded = load_config(registry=Registry.installed([PLUGIN]))
    service = Service([flow_of(plan, poll_wait=1.0) for plan in loaded.plans])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run)
        with anyio.fail_after(60):
            while await anyio.to_thread.run_sync(dead) < count:
                await anyio.sleep(0.05)
        service.stop()


def objects(bucket: str) -> list[str]:
    return [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def depth(queue: str) -> tuple[int, int]:
    """Visible messages and hidden ones."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def in_process(*arguments: str, instant: str = "") -> subprocess.Popen[bytes]:
    """Run the command in a process of its own, which can be killed; unmeasured, since others run the same lines."""
    command = [sys.executable, "-m", "forkstream", "dlq", *arguments, "--plugin", str(PLUGIN), "--fork", "search"]
    return subprocess.Popen(
        command,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")} | {"INSTANT": instant},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def test_an_order_that_a_sink_refused_is_found_shown_mended_and_sent_again(
    queue: str, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    configure(
        queue, f"stages: [compress, encrypt: {{kms_key: {key}}}], sink: {{s3: {{bucket: {bucket}, prefix: dead/}}}}"
    )
    publish(queue, [1, "450,-", 3])
    anyio.run(serve_until, lambda: len(objects(bucket)), 1)
    good = sent()
    assert sorted(good.values()) == [1, 1]

    (row,) = listed(capsys, "--since", "1h")
    assert (row["code"], row["step"], row["fork"], row["state"]) == ("mapping", "sink", "search", "waiting")
    assert row["place"].startswith("dead/")
    assert row["place"].endswith(".ndjson.zst.encrypted")
    assert dlq("show", row["id"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["body"] == {"amount": "450,-"}  # what the sink got: sanitised
    assert shown["detail"] == "amount: 450,- is no number"
    assert shown["attributes"] == {"amount": {"type": "Number", "value": "1"}}

    assert dlq("redrive", "--all") == 1
    assert sent() == good
    Path("mended.json").write_text('{"amount": 450}')
    assert dlq("redrive", row["id"], "--body", "mended.json") == 0
    assert sent() == {**good, row["origin_id"]: 1}
    assert dlq("redrive", row["id"], "--body", "mended.json") == 0
    assert sent()[row["origin_id"]] == 1
    assert listed(capsys)[0]["state"] == "redriven"


@pytest.mark.parametrize("where", ["bucket", "directory"])
def test_two_at_once_send_each_letter_once(where: str, queue: str, bucket: str) -> None:
    if where == "bucket":
        configure(queue, f"sink: {{s3: {{bucket: {bucket}}}}}")
        put_letters(bucket, 40, objects=4)
    else:
        configure(queue, "sink: {file: {directory: dead}}")
        Path("dead").mkdir()
        Path("dead", f"{ulid()}.ndjson").write_bytes(
            b"".join(one.encode() + b"\n" for one in letters(40, fork="search"))
        )
    both = [in_process("redrive", "--all", "--json") for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert sent() == {str(number): 1 for number in range(40)}
    by_outcome = Counter[str]()
    for answer in answers:
        by_outcome.update(answer["counts"])
    assert by_outcome["sent"] == 40
    assert sum(by_outcome.values()) == 80  # and what one sent the other found taken, under way or redriven


@pytest.mark.parametrize("instant", ["before", "after"])
def test_a_crash_beside_the_write_leaves_letters_in_doubt_and_nobody_sends_them_unasked(
    instant: str, queue: str, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(queue, f"sink: {{s3: {{bucket: {bucket}}}}}")
    put_letters(bucket, 3)
    crashed = in_process("redrive", "--all", instant=instant)
    crashed.communicate(timeout=60)
    assert crashed.returncode == -signal.SIGKILL
    before = {str(number): 1 for number in range(3)} if instant == "after" else {}
    assert sent() == before
    assert [row["state"] for row in listed(capsys)] == ["interrupted"] * 3
    assert dlq("redrive", "--all") == 1
    assert "may have been sent or not" in capsys.readouterr().err
    assert sent() == before
    if instant == "before":  # the operator has looked, and they are not there
        assert dlq("redrive", "--all", "--again") == 0
        assert sent() == {str(number): 1 for number in range(3)}
        assert dlq("redrive", "--all", "--again") == 0
        assert sent() == {str(number): 1 for number in range(3)}


def test_a_dry_run_leaves_a_bucket_as_it_is(queue: str, bucket: str) -> None:
    configure(queue, f"sink: {{s3: {{bucket: {bucket}}}}}")
    put_letters(bucket, 2)
    before = objects(bucket)
    assert dlq("redrive", "--all", "--dry-run") == 0
    assert objects(bucket) == before
    assert not sent()


def test_a_bucket_of_more_keys_than_a_page_is_read_whole(
    queue: str, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(queue, f"sink: {{s3: {{bucket: {bucket}, prefix: 'x/%Y/'}}}}")
    s3 = boto3.client("s3")
    for number in range(1001):
        s3.put_object(Bucket=bucket, Key=f"x/0/{number}", Body=b"not a letter's")
    put_letters(bucket, 1, prefix="x/2018/")
    s3.put_object(Bucket=bucket, Key="y/01ARZ3NDEKTSV4RRFFQ69G5FAV.ndjson", Body=b"not below the prefix")
    assert [row["origin_id"] for row in listed(capsys)] == ["0"]
    assert dlq("redrive", "--all") == 0


def test_a_bucket_that_is_not_there_is_named(queue: str, unique: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(queue, f"sink: {{s3: {{bucket: {unique}-none}}}}")
    assert dlq("list") == 1
    assert f"unavailable: missing (s3:ListBucket on {unique}-none" in capsys.readouterr().err


def test_letters_of_a_queue_are_sampled_and_shown_again(queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    dead = f"{queue}-dead"
    boto3.client("sqs").create_queue(QueueName=dead)
    configure(queue, f"sink: {{sqs: {{queue: {dead}}}}}")
    publish(queue, ["a", "b", "c"])
    anyio.run(serve_until, lambda: depth(dead)[0], 3)
    rows = listed(capsys)
    assert [row["code"] for row in rows] == ["mapping"] * 3
    assert depth(dead) == (3, 0)
    assert dlq("list") == 0
    assert "each look counts as a receive" in capsys.readouterr().err
    assert dlq("list", "--limit", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["more"]
    assert dlq("show", rows[0]["id"]) == 0
    assert json.loads(capsys.readouterr().out)["origin_id"] == rows[0]["origin_id"]
    assert depth(dead) == (3, 0)


def test_a_redriven_letter_leaves_its_queue_and_the_others_stay(queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    dead = letters_in_queue(queue, 25)
    chosen = listed(capsys)[0]
    assert dlq("redrive", chosen["id"]) == 0
    assert sent() == {chosen["origin_id"]: 1}
    assert depth(dead) == (24, 0)
    send_letters(dead, [bad_letter()])
    assert dlq("redrive", "--all") == 1
    assert sent() == {str(number): 1 for number in range(25)}
    assert depth(dead) == (1, 0)
    assert [row["state"] for row in listed(capsys)] == ["failed again"]


def test_a_fifo_queue_of_letters_is_redriven_to_its_end(queue: str) -> None:
    dead = f"{queue}-dead.fifo"
    boto3.client("sqs").create_queue(QueueName=dead, Attributes={"FifoQueue": "true"})
    configure(queue, f"sink: {{sqs: {{queue: {dead}, group: all}}}}")
    send_letters(dead, letters(25, fork="search"), group="all")
    assert dlq("redrive", "--all") == 0
    assert sent() == {str(number): 1 for number in range(25)}
    assert depth(dead) == (0, 0)


@pytest.mark.parametrize("instant", ["before", "after"])
def test_a_crash_leaves_a_queues_letters_in_doubt_too(
    instant: str, queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, copies = letters_in_queue(queue, 0), letters(3, fork="search")
    send_letters(dead, copies)
    crashed = in_process("redrive", "--all", instant=instant)
    crashed.communicate(timeout=60)
    assert crashed.returncode == -signal.SIGKILL
    send_letters(dead, copies)  # what it held comes again when its visibility is over; here, at once
    before = {str(number): 1 for number in range(3)} if instant == "after" else {}
    assert [row["state"] for row in listed(capsys)] == ["interrupted"] * 3
    assert dlq("redrive", "--all") == 1
    assert sent() == before
    assert depth(dead)[0] == 3
    if instant == "before":
        assert dlq("redrive", "--all", "--again") == 0
        assert sent() == {str(number): 1 for number in range(3)}
        assert depth(dead)[0] == 0


def test_a_letter_that_was_sent_and_noted_but_not_deleted_is_only_deleted(
    queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = letters_in_queue(queue, 0)
    copies = letters(2, fork="search")
    send_letters(dead, copies)
    assert dlq("redrive", "--all") == 0
    send_letters(dead, copies)  # as if the deletes had been lost
    capsys.readouterr()
    assert dlq("redrive", "--all", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"already redriven": 2}
    assert sent() == {"0": 1, "1": 1}
    assert depth(dead) == (0, 0)


def test_operators_share_claims_in_a_bucket(
    queue: str, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, copies = letters_in_queue(queue, 0), letters(3, fork="search")
    send_letters(dead, copies)
    claims = f"s3://{bucket}/claims"
    crashed = in_process("redrive", "--all", "--claims", claims, instant="after")
    crashed.communicate(timeout=60)
    send_letters(dead, copies)
    monkeypatch.setenv("XDG_STATE_HOME", "another machine's")
    assert dlq("redrive", "--all", "--claims", claims) == 1
    assert sent() == {"0": 1, "1": 1, "2": 1}
    assert all(key.startswith("claims/") for key in objects(bucket))


def test_two_at_once_send_each_letter_of_a_queue_once(queue: str) -> None:
    dead = letters_in_queue(queue, 40)
    both = [in_process("redrive", "--all", "--json") for _ in range(2)]
    for one in both:
        json.loads(one.communicate(timeout=60)[0])
    assert sent() == {str(number): 1 for number in range(40)}
    assert depth(dead) == (0, 0)


def test_a_signal_ends_a_redrive_in_order_and_a_second_one_at_once(
    queue: str, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(queue, f"sink: {{s3: {{bucket: {bucket}}}}}")
    put_letters(bucket, 3)
    started = in_process("redrive", "--all", "--json", instant="wait before")
    assert started.stderr
    wait_for(Path("waiting").exists)
    for said in (
        b"ending what is under way; once more ends it at once and leaves it interrupted\n",
        b"ended at once\n",
    ):
        started.send_signal(signal.SIGINT)
        assert started.stderr.readline() == said
    Path("go-on").touch()  # a thread cannot be ended
    started.communicate(timeout=60)
    assert started.returncode == 1
    assert [row["state"] for row in listed(capsys)] == ["interrupted"] * 3
    put_letters(bucket, 2, start=3)
    Path("waiting").unlink()
    Path("go-on").unlink()
    started = in_process("redrive", "--all", "--json", instant="wait after")
    wait_for(Path("waiting").exists)
    started.send_signal(signal.SIGINT)
    assert started.stderr
    assert started.stderr.readline()
    Path("go-on").touch()
    answer = json.loads(started.communicate(timeout=60)[0])
    assert (started.returncode, answer["trouble"]) == (1, "told to")
    assert answer["counts"] == {"sent": 2, "interrupted": 3}


def put_letters(bucket: str, count: int, *, objects: int = 1, prefix: str = "", start: int = 0) -> None:
    s3, dead = boto3.client("s3"), letters(count, fork="search", start=start)
    for number in range(objects):
        data = b"".join(letter.encode() + b"\n" for letter in dead[number::objects])
        s3.put_object(Bucket=bucket, Key=f"{prefix}{dead[number].letter}.ndjson", Body=data)


def letters_in_queue(queue: str, count: int) -> str:
    dead = f"{queue}-dead"
    boto3.client("sqs").create_queue(QueueName=dead)
    configure(queue, f"sink: {{sqs: {{queue: {dead}}}}}")
    send_letters(dead, letters(count, fork="search"))
    return dead


def send_letters(queue: str, dead: list[Letter], group: str | None = None) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for letter in dead:
        fifo: Any = {"MessageGroupId": group, "MessageDeduplicationId": letter.letter} if group else {}
        sqs.send_message(QueueUrl=url, MessageBody=letter.encode().decode(), **fifo)


def bad_letter() -> Letter:
    return letter_of(Event(b'{"amount":"x"}', id="bad"), fork="search", step="sink", code="mapping", detail="")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
