"""What ``forkstream check --connect`` warns of after a look at AWS: each warning is provoked, and what is in order has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from tests.cli_kit import run


class Site:
    """One queue with all around it, in order; a test spoils one thing."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.sqs, self.sns, self.s3 = boto3.client("sqs"), boto3.client("sns"), boto3.client("s3")
        self.redrive = self.queue(f"{name}-redrive", MessageRetentionPeriod="1209600")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = self._arn(self.url)
        self.topic = self.sns.create_topic(Name=name)["TopicArn"]
        statement = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": self.arn, "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
        }  # fmt: skip
        self.set(
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            RedrivePolicy=json.dumps({"deadLetterTargetArn": self.redrive, "maxReceiveCount": 10}),
            MessageRetentionPeriod="345600",
        )
        self.subscription = self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=self.arn,
            Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": self.redrive})},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        self._path = directory / "forkstream.yaml"

    def queue(self, name: str, **attributes: str) -> str:
        return self._arn(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def set(self, **attributes: str) -> None:
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    def configure(self, *lines: str, source: str = "", sink: str = "sink: blackhole") -> None:
        source = source or f"source: {{sqs: {{queue: {self.name}}}}}"
        self._path.write_text("\n".join(["forks:", "  one:", *(f"    {line}" for line in [source, sink, *lines])]))

    def checked(self, capsys: pytest.CaptureFixture[str]) -> Mapping[str, Any]:
        assert run("check", str(self._path), "--connect", "--json") == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    def warned(self, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
        answer = self.checked(capsys)
        assert answer["unanswered"] == []
        return [(each["code"], each["found"]) for each in answer["warnings"]]

    def _arn(self, url: str) -> str:
        return str(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


@pytest.fixture
def site(aws: EmbeddedAws, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("FORKSTREAM_CONFIG", raising=False)
    site = Site(unique, tmp_path)
    site.configure()
    return site


def test_a_queue_in_order_has_no_warning(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.warned(capsys) == []


def test_few_receives(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.set(RedrivePolicy=json.dumps({"deadLetterTargetArn": site.redrive, "maxReceiveCount": "9"}))
    assert site.warned(capsys) == [("few_receives", "the queue's maxReceiveCount is 9")]


def test_no_redrive_queue(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.queue(f"{site.name}-bare")
    site.configure(source=f"source: {{sqs: {{queue: {site.name}-bare}}}}")
    assert site.warned(capsys) == [("no_redrive", "the queue has no redrive policy")]


def test_a_redrive_queue_that_keeps_no_longer_than_the_source(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.set(MessageRetentionPeriod="1209600")
    assert site.warned(capsys) == [
        ("redrive_retention", f"the redrive queue {site.name}-redrive keeps messages for 14d, the queue for 14d")
    ]


def test_a_fifo_queue_s_redrive_may_keep_as_long(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Moving gives its messages a new age."""
    redrive = site.queue(f"{site.name}-redrive.fifo", FifoQueue="true")
    policy = json.dumps({"deadLetterTargetArn": redrive, "maxReceiveCount": 10})
    site.queue(f"{site.name}.fifo", FifoQueue="true", RedrivePolicy=policy)
    topic = f"{site.topic}.fifo"
    site.sns.create_topic(Name=f"{site.name}.fifo", Attributes={"FifoTopic": "true"})
    site.configure(source=f"source: {{sqs: {{queue: {site.name}.fifo}}}}", sink=f"sink: {{sns: {{topic: '{topic}'}}}}")
    assert site.warned(capsys) == []


def test_a_retention_shorter_than_an_event_may_be_held(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.set(MessageRetentionPeriod="10800")
    assert site.warned(capsys) == []
    site.configure("batch: {max_age: 55m}")  # and 5 minutes of retries, one of the last attempt, 2 hours of back-off
    assert site.warned(capsys) == [
        ("short_retention", "the queue keeps messages for 3h, the fork may hold one for 181m")
    ]


def test_a_subscription_without_redrive(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.sns.set_subscription_attributes(
        SubscriptionArn=site.subscription, AttributeName="RedrivePolicy", AttributeValue=""
    )
    assert site.warned(capsys) == [
        ("subscription_without_redrive", f"the subscription {site.subscription} has no redrive policy")
    ]


@pytest.mark.parametrize("key", ["alias/aws/sqs", "arn:aws:kms:eu-west-1:123456789012:alias/aws/sqs"])
def test_a_queue_of_sns_with_the_aws_managed_key(site: Site, capsys: pytest.CaptureFixture[str], key: str) -> None:
    site.set(KmsMasterKeyId=key)
    assert site.warned(capsys) == [
        (
            "sns_cannot_encrypt",
            f"the queue is encrypted with the AWS-managed key {key}, and its policy lets SNS send to it",
        )
    ]
    site.set(KmsMasterKeyId="alias/ours")
    assert site.warned(capsys) == []
    site.set(KmsMasterKeyId=key, Policy="")  # no SNS here
    assert site.warned(capsys) == []


def test_more_attributes_named_than_a_raw_subscription_delivers(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    names = ", ".join(f"a{number}" for number in range(11))
    site.configure(f"stages: [sanitize: {{attributes: {{keep: [{names}]}}}}]")
    assert site.warned(capsys) == []
    site.sns.set_subscription_attributes(
        SubscriptionArn=site.subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    ((code, found),) = site.warned(capsys)
    assert code == "too_many_attributes"
    assert found.startswith("the stages name 11 message attributes (a0, a1, a10,")


def test_sanitized_events_in_a_bucket_are_judged_by_its_own_default(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.s3.create_bucket(Bucket=site.name, CreateBucketConfiguration={"LocationConstraint": site.s3.meta.region_name})
    site.configure("stages: [sanitize: {drop: [card]}]", sink=f"sink: {{s3: {{bucket: {site.name}}}}}")
    assert site.warned(capsys) == [("sanitized_in_the_clear", "no sse, and the bucket's own default is AES256")]

    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/ours"}}
    site.s3.put_bucket_encryption(Bucket=site.name, ServerSideEncryptionConfiguration={"Rules": [default]})
    assert site.warned(capsys) == []


def test_what_may_not_be_looked_at_is_told_by_its_permission(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    gone = site.queue(f"{site.name}-gone")
    site.set(RedrivePolicy=json.dumps({"deadLetterTargetArn": gone, "maxReceiveCount": 10}))
    site.sqs.delete_queue(QueueUrl=site.sqs.get_queue_url(QueueName=f"{site.name}-gone")["QueueUrl"])
    answer = site.checked(capsys)
    assert answer["warnings"] == []
    (unanswered,) = answer["unanswered"]
    assert unanswered["found"].startswith(f"its redrive queue: missing (sqs:GetQueueUrl on {site.name}-gone: ")
    assert (unanswered["path"], unanswered["line"]) == ("forks.one.source.sqs", 3)


def test_nothing_of_a_check_stays(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.sqs.send_message(QueueUrl=site.url, MessageBody="{}")
    site.checked(capsys)
    (message,) = site.sqs.receive_message(QueueUrl=site.url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
