"""What the template promises on AWS and the embedded AWS does not enforce."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from forkstream.demo.application import DEPLOY

TEMPLATE = DEPLOY / "application.yaml"
FORKS = ("Checkout", "Backup", "Search", "Replay")
NO_PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
DAYS = 86_400


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    from cfnlint.decode import decode  # type: ignore[import-untyped]  # noqa: PLC0415  # brings all of sympy

    decoded, problems = decode(str(TEMPLATE))
    assert not problems
    return json.loads(json.dumps(decoded))  # type: ignore[no-any-return]  # plain dicts without marks


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: resource | resource.get("Properties", {}) for name, resource in template["Resources"].items()}


def of_type(resources: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def statements(resources: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for resource in resources.values():
        for found in resource.get("PolicyDocument", {}).get("Statement", []):
            yield found["Fn::If"][1] if "Fn::If" in found else found


def test_an_operator_exists_on_request_receives_nothing_and_changes_no_letter(
    template: dict[str, Any], resources: dict[str, dict[str, Any]]
) -> None:
    assert template["Parameters"]["OperatorArn"]["Default"] == ""
    role, policy = resources["OperatorRole"], resources["OperatorPolicy"]
    assert role["Condition"] == policy["Condition"] == template["Outputs"]["OperatorRole"]["Condition"] == "HasOperator"
    assert role["ManagedPolicyArns"] == [{"Ref": "OperatorPolicy"}]
    found = list(statements({"": policy}))
    actions = json.dumps([each["Action"] for each in found])
    assert not [word for word in ("Receive", "Delete", "ChangeMessage", '"*"', ":*") if word in actions]
    puts = [json.dumps(each["Resource"]) for each in found if "s3:PutObject" in each["Action"]]
    assert [put for put in puts if "DeadLetterBucket" in put] == ['{"Fn::Sub": "${DeadLetterBucket.Arn}/*.redrive/*"}']


def test_what_a_redrive_writes_is_what_the_task_may_write(resources: dict[str, dict[str, Any]]) -> None:
    task, operator = (
        {each["Sid"]: each for each in statements({"": resources[name]})} for name in ("TaskPolicy", "OperatorPolicy")
    )
    for name in ("WriteRows", "Replay", "Search"):
        assert operator[name] == task[name]
    assert operator["WriteObjects"]["Resource"] == task["WriteObjects"]["Resource"][0]


def test_cfn_lint_has_nothing_to_say() -> None:
    from cfnlint.api import lint_file  # type: ignore[import-untyped]  # noqa: PLC0415  # see above

    assert lint_file(TEMPLATE) == []


@pytest.mark.parametrize("fork", FORKS)
def test_each_queue_redrives_after_ten_receives_into_a_queue_that_keeps_14_days(
    resources: dict[str, dict[str, Any]], fork: str
) -> None:
    redrive = resources[f"{fork}Queue"]["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": [f"{fork}RedriveQueue", "Arn"]}, "maxReceiveCount": 10}
    assert resources[f"{fork}RedriveQueue"]["MessageRetentionPeriod"] == 14 * DAYS
    assert resources[f"{fork}UndeliveredQueue"]["MessageRetentionPeriod"] == 14 * DAYS


@pytest.mark.parametrize("fork", FORKS)
def test_each_subscription_is_raw_filtered_by_its_parameter_and_has_a_redrive_queue_of_its_own(
    resources: dict[str, dict[str, Any]], fork: str
) -> None:
    subscription = resources[f"{fork}Subscription"]
    assert subscription["RawMessageDelivery"] is True
    assert subscription["Endpoint"] == {"Fn::GetAtt": [f"{fork}Queue", "Arn"]}
    assert subscription["FilterPolicy"]["Fn::If"][1] == {"Ref": f"{fork}FilterPolicy"}
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": {"Fn::GetAtt": [f"{fork}UndeliveredQueue", "Arn"]}}
    assert subscription["DependsOn"] == "TopicQueuesPolicy", "what SNS sends before the queue lets it in is lost"


def test_everything_that_holds_orders_is_encrypted_with_the_one_key(resources: dict[str, dict[str, Any]]) -> None:
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    queues = of_type(resources, "AWS::SQS::Queue")
    assert len(queues) == 12
    assert all(queue["KmsMasterKeyId"] == key for queue in queues.values())
    assert resources["CheckoutEventsTopic"]["KmsMasterKeyId"] == key
    for bucket in of_type(resources, "AWS::S3::Bucket").values():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}


def test_the_key_lets_sns_in_for_this_topic_only_and_rotates(resources: dict[str, dict[str, Any]]) -> None:
    key = resources["Key"]
    assert key["EnableKeyRotation"] is True
    administration, sns = key["KeyPolicy"]["Statement"]
    assert administration["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    assert sns["Principal"] == {"Service": "sns.amazonaws.com"}
    assert sns["Action"] == ["kms:GenerateDataKey*", "kms:Decrypt"]
    assert sns["Condition"].keys() == {"ArnEquals"}, "a condition that SNS does not answer would stop every delivery"
    created, given = sns["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::If"][1:]
    assert created["Fn::Sub"].endswith(f":{resources['CheckoutEventsTopic']['TopicName']['Fn::Sub']}")
    assert given == {"Ref": "TopicArn"}


def test_only_the_topic_may_send_to_the_queues_and_nobody_over_plain_http(resources: dict[str, dict[str, Any]]) -> None:
    covered = set()
    for policy in of_type(resources, "AWS::SQS::QueuePolicy").values():
        covered |= {queue["Ref"] for queue in policy["Queues"]}
        *allowed, denied = policy["PolicyDocument"]["Statement"]
        assert (denied["Effect"], denied["Action"], denied["Condition"]) == ("Deny", "sqs:*", NO_PLAIN_HTTP)
        for statement in allowed:
            assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
            assert statement["Action"] == "sqs:SendMessage"
            assert statement["Condition"]["ArnEquals"].keys() == {"aws:SourceArn"}
    assert covered == of_type(resources, "AWS::SQS::Queue").keys()
    assert {queue["Ref"] for queue in resources["RedriveQueuesPolicy"]["Queues"]} == {f"{f}RedriveQueue" for f in FORKS}


def test_buckets_refuse_the_public_and_plain_http_and_abort_stale_uploads(resources: dict[str, dict[str, Any]]) -> None:
    buckets = of_type(resources, "AWS::S3::Bucket")
    assert buckets.keys() == {"BackupBucket", "DeadLetterBucket"}
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert {"DaysAfterInitiation": 7} in [rule.get("AbortIncompleteMultipartUpload") for rule in rules]
        (statement,) = resources[f"{name}Policy"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"], statement["Condition"]) == ("Deny", "s3:*", NO_PLAIN_HTTP)


def test_what_holds_data_outlives_the_stack(resources: dict[str, dict[str, Any]]) -> None:
    for name in ("BackupBucket", "DeadLetterBucket", "CheckoutTable", "Key"):
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain"
    assert resources["CheckoutTable"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_no_allowed_action_is_a_wildcard_and_no_identity_gets_every_resource(
    resources: dict[str, dict[str, Any]],
) -> None:
    identities = {
        name: resource
        for name, resource in resources.items()
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
    }
    assert identities.keys() == {"TaskPolicy", "OperatorPolicy", "CheckoutApiBackendPolicy"}
    for statement in statements(identities):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert all(action == "kms:GenerateDataKey*" or "*" not in action for action in actions)
        assert statement["Resource"] != "*"


def test_the_replay_queue_keeps_from_a_minute_to_14_days(
    template: dict[str, Any], resources: dict[str, dict[str, Any]]
) -> None:
    retention = template["Parameters"]["ReplayRetentionSeconds"]
    assert (retention["MinValue"], retention["MaxValue"], retention["Default"]) == (60, 14 * DAYS, 14 * DAYS)
    assert resources["ReplayQueue"]["MessageRetentionPeriod"] == {"Ref": "ReplayRetentionSeconds"}


def test_search_gets_orders_of_100_and_more_unless_told_otherwise(template: dict[str, Any]) -> None:
    parameters = template["Parameters"]
    assert json.loads(parameters["SearchFilterPolicy"]["Default"]) == {"amount": [{"numeric": [">=", 100]}]}
    assert all(parameters[f"{fork}FilterPolicy"]["Default"] == "" for fork in ("Checkout", "Backup", "Replay"))


def test_the_api_is_throttled_and_logs_its_accesses(resources: dict[str, dict[str, Any]]) -> None:
    stage = resources["CheckoutApiStage"]
    assert stage["DefaultRouteSettings"].keys() == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"
