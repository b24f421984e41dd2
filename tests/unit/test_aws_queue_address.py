from __future__ import annotations

import pytest

from forkstream.aws.queue_address import QueueAddress
from forkstream.settings import AwsSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", QueueAddress(name="orders")),
        ("orders.fifo", QueueAddress(name="orders.fifo")),
        (
            "arn:aws:sqs:eu-west-1:111122223333:orders",
            QueueAddress(name="orders", account="111122223333", region="eu-west-1"),
        ),
        (
            "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:orders.fifo",
            QueueAddress(name="orders.fifo", account="111122223333", region="us-gov-west-1"),
        ),
        *(
            (f"https://{host}/111122223333/orders", QueueAddress(
                name="orders", url=f"https://{host}/111122223333/orders", region=region
            ))
            for host, region in (
                ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
                ("sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
                ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
                ("sqs.eu-west-1.api.aws", "eu-west-1"),
                ("sqs-fips.us-east-1.amazonaws.com", "us-east-1"),
                ("vpce-0a-1b.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
                ("localhost:4566", None),
            )
        ),
    ],
)  # fmt: skip
def test_a_queue_goes_by_its_name_its_url_or_its_arn(text: str, expected: QueueAddress) -> None:
    assert QueueAddress.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two words",
        "orders.fifo.fifo",
        "or.ders",
        "x" * 81,
        "arn:aws:sns:eu-west-1:111122223333:orders",
        "arn:aws:sqs:eu-west-1:1:orders",
        "https://sqs.eu-west-1.amazonaws.com/111122223333/",
    ],
)
def test_what_is_none_of_the_three_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a queue's name, URL or ARN"):
        QueueAddress.parse(text)


def test_the_region_of_an_arn_is_the_queues() -> None:
    settings = AwsSettings(region="us-east-1", profile="p")
    address = QueueAddress.parse("arn:aws:sqs:eu-west-1:111122223333:orders")
    assert address.settings(settings) == AwsSettings(region="eu-west-1", profile="p")
    assert QueueAddress.parse("orders").settings(settings) == settings
