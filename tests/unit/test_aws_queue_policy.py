from __future__ import annotations

from typing import Any

import msgspec
import pytest

from forkstream.aws.queue_policy import sending_topics

TOPIC = "arn:aws:sns:eu-west-1:111122223333:orders"
OTHER = "arn:aws:sns:us-east-1:444455556666:returns.fifo"


def policy(*statements: dict[str, Any]) -> str:
    return msgspec.json.encode({"Version": "2012-10-17", "Statement": statements}).decode()


def statement(**changes: Any) -> dict[str, Any]:
    usual = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "topics"),
    [
        ({}, {TOPIC}),
        ({"Principal": "*"}, {TOPIC}),
        ({"Principal": {"AWS": "*"}}, {TOPIC}),
        ({"Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}}, {TOPIC}),
        ({"Action": ["sqs:ReceiveMessage", "SQS:SendMessage"]}, {TOPIC}),
        ({"Action": "sqs:*"}, {TOPIC}),
        ({"Action": "*"}, {TOPIC}),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": [TOPIC, OTHER]}}}, {TOPIC, OTHER}),
        ({"Condition": {"ForAnyValue:StringEqualsIfExists": {"aws:SourceArn": TOPIC}}}, {TOPIC}),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::a-bucket"}}}, set()),
        # not for SNS, or not for sending
        ({"Effect": "Deny", "Condition": None}, set()),
        ({"Action": "sqs:ReceiveMessage", "Condition": None}, set()),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Condition": None}, set()),
        ({"Principal": {"Service": "events.amazonaws.com"}, "Condition": None}, set()),
    ],
)
def test_a_policy_names_the_topics_that_may_send(changes: dict[str, Any], topics: set[str]) -> None:
    assert sending_topics(policy(statement(**changes))) == frozenset(topics)


@pytest.mark.parametrize(
    "changes",
    [
        {"Condition": None},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}}},
        {"Condition": {"ArnNotEquals": {"aws:SourceArn": TOPIC}}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:*:*:111122223333:*"}}},
        {"Condition": {"StringLike": {"aws:SourceArn": "*"}}},
        {"Principal": "*", "Condition": None},
        {"Principal": None, "NotPrincipal": {"AWS": "x"}, "Condition": None},
        {"Action": None, "NotAction": "sqs:DeleteQueue", "Condition": None},
    ],
)
def test_topics_that_are_admitted_without_a_name_make_the_answer_unknown(changes: dict[str, Any]) -> None:
    assert sending_topics(policy(statement(), statement(**changes))) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"Statement": "x"}', '{"Statement": [{"Effect": "Allow", "Principal": 5}]}']
)
def test_a_policy_that_cannot_be_read_makes_the_answer_unknown(text: str) -> None:
    assert sending_topics(text) is None


def test_a_queue_without_a_policy_gets_nothing_from_sns() -> None:
    assert sending_topics(None) == frozenset()


def test_one_statement_needs_no_list() -> None:
    assert sending_topics(msgspec.json.encode({"Statement": statement()}).decode()) == frozenset({TOPIC})
