"""The documented examples, asked of the embedded SNS too: where it differs from AWS is listed here, and nothing else differs."""

from __future__ import annotations

import json
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.demo.embedded_aws import EmbeddedAws
from tests.filter_cases import ATTRIBUTES, BODIES, Case


def differs(case: Case) -> list[str]:
    """Name what the embedded SNS does not do as AWS documents it; empty if it does all of it."""
    rules = [rule for values in case.policy.values() if isinstance(values, list) for rule in values]
    operators = {key: rule[key] for rule in rules if isinstance(rule, dict) for key in rule}
    refused = operators.get("anything-but")
    differences = {
        "it knows no suffix, wildcard, equals-ignore-case and cidr: they never fit": case.passes
        and bool(operators.keys() & {"suffix", "wildcard", "equals-ignore-case", "cidr"}),
        "exists: false never fits": case.passes and operators.get("exists") is False,
        "anything-but with an operator always fits": not case.passes and isinstance(refused, dict),
        "anything-but takes every number for text": not case.passes and isinstance(refused, list) and 100 in refused,
        "booleans of an array are text": case.passes and case.policy == {"encrypted": [False]},
    }
    return [difference for difference, there in differences.items() if there]


@pytest.fixture
def delivered(aws: EmbeddedAws, unique: str) -> Any:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def ask(case: Case, number: int, scope: str) -> bool:
        topic = sns.create_topic(Name=f"{unique}-{number}")["TopicArn"]
        attributes = {"FilterPolicy": json.dumps(case.policy), "FilterPolicyScope": scope, "RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        if scope == "MessageBody":
            sns.publish(TopicArn=topic, Message=json.dumps(case.message))
        else:
            message = {
                name: {"DataType": attribute.type, "StringValue": attribute.value}
                for name, attribute in case.message.items()
            }
            sns.publish(TopicArn=topic, Message=str(case), MessageAttributes=message)
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages = answer.get("Messages") or []
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)

    return ask


def test_the_embedded_sns_differs_where_it_is_listed_and_nowhere_else(delivered: Any) -> None:
    wrong = {}
    for number, case in enumerate(ATTRIBUTES):
        if (delivered(case, number, "MessageAttributes") != case.passes) is not bool(differs(case)):
            wrong[str(case)] = differs(case) or ["not listed"]
    assert wrong == {}


def test_the_embedded_sns_filters_no_bodies(delivered: Any) -> None:
    assert all(delivered(case, number, "MessageBody") for number, case in enumerate(BODIES))
