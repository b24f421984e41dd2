"""A config that lies in S3 or in the parameter store."""

from __future__ import annotations

import os

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.config.document import read_document
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import ConfigError


def test_a_config_is_read_from_s3(aws: EmbeddedAws, unique: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    s3.put_object(Bucket=unique, Key="a/b.yaml", Body="forks: ä".encode())
    document = read_document(f"s3://{unique}/a/b.yaml", os.environ)
    assert (document.name, document.text) == (f"s3://{unique}/a/b.yaml", "forks: ä")


def test_a_config_is_read_from_the_parameter_store(aws: EmbeddedAws, unique: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"/{unique}/config", Value="forks: ä", Type="SecureString")
    assert read_document(f"ssm:/{unique}/config", os.environ).text == "forks: ä"


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("s3://{}/a/b.yaml", "s3:GetObject on s3://{}/a/b.yaml: NoSuchBucket"),
        ("ssm:/{}/config", "ssm:GetParameter on ssm:/{}/config: ParameterNotFound"),
    ],
)
def test_a_config_that_is_not_there_is_told_in_one_line(aws: EmbeddedAws, unique: str, place: str, cause: str) -> None:
    location = place.format(unique)
    with pytest.raises(ConfigError) as caught:
        read_document(location, os.environ)
    (problem,) = caught.value.problems
    assert problem == (
        f"{location}: cannot be read: missing ({cause.format(unique)}): "
        "create it, or correct its name, the region or the account"
    )
