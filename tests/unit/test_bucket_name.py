"""Names that no bucket can have are found without asking S3."""

from __future__ import annotations

import pytest

from forkstream.aws.bucket_name import is_old, wrong_with
from forkstream.ports import Context
from forkstream.sinks.s3 import S3Config, S3Sink


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("or", "it has 3 to 63 characters, not 2"),
        ("a" * 256, "it has 3 to 63 characters, not 256"),
        ("or ders", "only lower-case letters, digits, . and - can stand in it, not ' '"),
        ("s3-orders/2018", "only lower-case letters, digits, . and - can stand in it, not '/'"),
        ("-orders", "it begins and ends with a letter or a digit"),
        ("orders.", "it begins and ends with a letter or a digit"),
        ("or..ders", "no two dots can stand side by side"),
        ("192.168.5.4", "it cannot look like an IP address"),
    ],
)
def test_what_no_bucket_is_called_is_a_config_error_that_says_why(name: str, why: str) -> None:
    assert wrong_with(name) == why
    with pytest.raises(ValueError, match=r"bucket: .* is no name of a bucket: "):
        S3Sink(S3Config(bucket=name), Context(fork="f"))


@pytest.mark.parametrize(
    "name", ["orders", "1.orders-2", "a" * 63, "arn:aws:s3:eu-west-1:123456789012:accesspoint/orders", "ssm:/bucket"]
)
def test_what_a_bucket_can_be_called_passes(name: str) -> None:
    assert wrong_with(name) == ""
    assert not is_old(name)


@pytest.mark.parametrize("name", ["My_Bucket", "orders_2012", "a" * 64])
def test_a_name_of_old_may_be_meant(name: str) -> None:
    assert wrong_with(name) == ""
    assert is_old(name)
