"""``forkstream check --connect`` against AWS: what is missing is named by fork and step, and nothing stays behind."""

from __future__ import annotations

import json
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from tests.cli_kit import run

CONFIG = """
forks:
  backup:
    source: {sqs: {queue: "${NAME}"}}
    stages: [compress, encrypt: {kms_key: "${KEY}"}]
    sink: {s3: {bucket: "${NAME}"}}
  search:
    source: {sqs: {queue: "${NAME}-missing"}}
    sink: {dynamodb: {table: "${NAME}", columns: {id: {path: id, type: S}}, key: [id], mode: batch}}
    dead_letter: {sink: {s3: {bucket: "${NAME}-missing"}}}
"""


def test_what_a_config_names_and_aws_lacks_is_told_by_fork_and_step(
    aws: EmbeddedAws, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = boto3.client("s3")
    boto3.client("sqs").create_queue(QueueName=unique)
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": aws.region})
    monkeypatch.setenv("NAME", unique)
    monkeypatch.setenv("KEY", boto3.client("kms").create_key()["KeyMetadata"]["KeyId"])
    path = tmp_path / "forkstream.yaml"
    path.write_text(CONFIG)

    assert run("check", str(path), "--connect", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert [(each["fork"], each["step"], each["code"]) for each in answer["findings"]] == [
        ("search", "source.sqs", "missing"),
        ("search", "sink.dynamodb", "missing"),
        ("search", "dead_letter.sink.s3", "missing"),
    ]
    assert f"{unique}-missing" in answer["findings"][0]["detail"]
    assert answer["findings"][0]["do"] == "create it, or correct its name, the region or the account"
    assert "Contents" not in s3.list_objects_v2(Bucket=unique)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=unique)

    assert run("check", str(path), "--connect", "--fork", "backup") == 0
