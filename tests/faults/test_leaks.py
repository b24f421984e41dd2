"""The search for leaks finds a card in every guise that it says it knows: what it does not find must not be there."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard

from tests.faults.leaks import PLANTED, holds_card, leaks_in_aws, leaks_in_files
from tests.faults.site import Site


@pytest.mark.parametrize("card", PLANTED)
@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_a_card_is_found_in_every_guise(card: str, before: str) -> None:
    plain = f"{before}{card} and more".encode()
    bare = plain.replace(b" ", b"")
    for text in (plain, bare, plain.replace(b" ", b"-"), json.dumps(card).replace(" ", "\\u0020").encode()):
        assert holds_card(text)
    for text in (plain, bare):
        assert holds_card(base64.b64encode(text))
        assert holds_card(zstandard.compress(text))
        assert holds_card(gzip.compress(text))
    assert holds_card(bare.hex().encode())


def test_other_numbers_are_none() -> None:
    assert not holds_card(b"4111 1111 1111 1112, 1764000000.4111111, NDExMQ==")


def test_leaks_are_named_where_they_are(site: Site) -> None:
    card = PLANTED[0].replace(" ", "")
    bucket = site.bucket("b")
    site.s3.put_object(Bucket=bucket.name, Key=f"of/{card}", Body=b"")
    site.s3.put_object(Bucket=bucket.name, Key="metadata", Body=b"", Metadata={"card": card})
    site.s3.put_object(Bucket=bucket.name, Key="content", Body=zstandard.compress(card.encode()))
    site.s3.put_object(Bucket=bucket.name, Key="clean", Body=b"****")
    boto3.client("dynamodb").create_table(
        TableName=site.name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
    )
    boto3.client("dynamodb").put_item(TableName=site.name, Item={"Id": {"S": "1"}, "Card": {"S": card}})

    assert leaks_in_aws(site.aws, site.name) == [
        *(f"s3://{bucket.name}/{key}" for key in ("content", "metadata", f"of/{card}")),
        f"table {site.name}",
    ]
    # gone again, since all of the run's buckets and tables are searched at its end
    for key in bucket.objects():
        site.s3.delete_object(Bucket=bucket.name, Key=key)
    boto3.client("dynamodb").delete_table(TableName=site.name)


def test_files_beside_a_services_log_are_searched(tmp_path: Path) -> None:
    for name in ("ran/service.log", "ran/deep/dead.ndjson", "ran/clean", "other/input.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("clean" if name.endswith("clean") else PLANTED[0])

    assert leaks_in_files(tmp_path) == [str(tmp_path / "ran/deep/dead.ndjson"), str(tmp_path / "ran/service.log")]
    (tmp_path / "ran/deep/dead.ndjson").unlink()
    (tmp_path / "ran/service.log").unlink()
