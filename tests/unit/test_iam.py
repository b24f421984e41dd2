"""``forkstream iam``: what each plugin needs, where it is, as whom, and how that becomes a policy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from forkstream.errors import CommandError
from forkstream.iam import MAX_CHARACTERS, Place, grants, policy
from forkstream.ports import Permission
from forkstream.settings import AwsSettings
from tests.cli_kit import run
from tests.policy_kit import Grant, grants_of

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"
HERE = Place(region="eu-west-1", account=ACCOUNT)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "FORKSTREAM_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def told(capsys: pytest.CaptureFixture[str], config: str, *options: str) -> set[Grant]:
    Path("forkstream.yaml").write_text(config)
    assert run("iam", "--account", ACCOUNT, *options) == 0
    return grants_of(json.loads(capsys.readouterr().out))


def fork(source: str = "memory", sink: str = "blackhole", stages: str = "[]", more: str = "") -> str:
    return f"forks: {{one: {{source: {source}, stages: {stages}, sink: {sink}}}}}\naws: {{region: eu-west-1}}\n{more}"


def actions(granted: Iterable[Grant], resource: str) -> set[str]:
    return {action for action, named, _ in granted if named == resource}


QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"
RECEIVE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
TOPICS = {"sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"}


@pytest.mark.parametrize(
    ("config", "resource", "expected"),
    [
        (fork("{sqs: {queue: orders, envelope: raw}}"), QUEUE, RECEIVE | {"sqs:GetQueueUrl"}),
        (fork("{sqs: {queue: 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'}}"), QUEUE, RECEIVE),
        (fork("{sqs: {queue: orders}}"), f"arn:aws:sns:eu-west-1:{ACCOUNT}:*", TOPICS),
        (
            fork(sink="{sqs: {queue: 'arn:aws-cn:sqs:cn-north-1:210987654321:orders'}}"),
            "arn:aws-cn:sqs:cn-north-1:210987654321:orders",
            {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"},
        ),
        (
            fork(sink="{sns: {topic: 'arn:aws:sns:us-east-1:210987654321:news'}}"),
            "arn:aws:sns:us-east-1:210987654321:news",
            {"sns:Publish", "sns:GetTopicAttributes"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket}}"),
            "arn:aws:s3:::our-bucket/*",
            {"s3:PutObject", "s3:AbortMultipartUpload"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket, prefix: 'a/{customer.id}/c/'}}"),
            "arn:aws:s3:::our-bucket/a/*",
            {"s3:PutObject", "s3:AbortMultipartUpload"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket, prefix: '50%%/dt=%Y/'}}"),
            "arn:aws:s3:::our-bucket/50%/*",
            {"s3:PutObject", "s3:AbortMultipartUpload"},
        ),
        (
            fork(sink="{s3: {bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/p'}}"),
            f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/p/object/*",
            {"s3:PutObject", "s3:AbortMultipartUpload"},
        ),
        (
            fork(sink="{dynamodb: {table: t, columns: {Id: {path: id, type: S}}, key: [Id], mode: batch}}"),
            f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t",
            {"dynamodb:BatchWriteItem", "dynamodb:DescribeTable"},
        ),
        (
            fork(sink="{dynamodb: {table: t, columns: {Id: {path: id, type: S}, V: v}, key: [Id], version: V}}"),
            f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t",
            {"dynamodb:PutItem", "dynamodb:DescribeTable"},
        ),
        (
            fork(stages="[transform: {lambda: clean}]"),
            f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:clean",
            {"lambda:InvokeFunction"},
        ),
        (
            fork(sink="{opensearch: {url: 'https://search.example.com', sigv4: es, index: i}}"),
            f"arn:aws:es:eu-west-1:{ACCOUNT}:domain/*/*",
            {"es:ESHttpHead", "es:ESHttpPost"},
        ),
        (
            fork(sink="{opensearch: {url: 'https://abc123.eu-west-3.aoss.amazonaws.com', sigv4: aoss, index: i}}"),
            f"arn:aws:aoss:eu-west-3:{ACCOUNT}:collection/abc123",
            {"aoss:APIAccessAll"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket}}", stages="[encrypt: {kms_key: '1234'}]"),
            KEY,
            {"kms:GenerateDataKey"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket}}", more="control: ssm:/shop/control"),
            f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/shop/control",
            {"ssm:GetParameter"},
        ),
        (
            fork(sink="{s3: {bucket: our-bucket}}", more="control: ssm:/shop/control\nadmin: {token: secret}"),
            f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/shop/control",
            {"ssm:GetParameter", "ssm:PutParameter"},
        ),
    ],
)  # fmt: skip
def test_a_plugin_gets_what_its_settings_need_and_no_more(
    capsys: pytest.CaptureFixture[str], config: str, resource: str, expected: set[str]
) -> None:
    assert actions(told(capsys, config), resource) == expected


def test_an_alias_allows_the_key_behind_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    config = fork(sink="{s3: {bucket: our-bucket, sse: AES256}}", stages="[encrypt: {kms_key: alias/orders}]")
    behind = '{"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/orders"}}'
    keys = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/*"
    wanted = {("kms:GenerateDataKey", keys, behind), ("kms:DescribeKey", keys, behind)}
    assert {grant for grant in told(capsys, config) if grant[0].startswith("kms:")} == wanted


def test_a_key_of_encrypted_queues_is_for_what_queues_hand_out_alone(capsys: pytest.CaptureFixture[str]) -> None:
    granted = told(capsys, fork("{sqs: {queue: orders, envelope: raw}}"), "--key", f"sqs={KEY}", "--key", f"s3={KEY}")
    via_queues = '{"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}}'
    assert {grant for grant in granted if grant[1] == KEY} == {("kms:Decrypt", KEY, via_queues)}


def test_a_bucket_whose_settings_name_a_key_needs_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    granted = told(capsys, fork(sink=f"{{s3: {{bucket: our-bucket, sse: {{kms_key: '{KEY}'}}}}}}"))
    via_s3 = '{"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}'
    both = {("kms:GenerateDataKey", KEY, via_s3), ("kms:Decrypt", KEY, via_s3)}
    assert {grant for grant in granted if grant[1] == KEY} == both


def test_what_a_start_reads_has_to_be_readable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"ssm:/orders/bucket": "our-bucket", "secretsmanager:orders#token": "t"}
    monkeypatch.setattr(
        "forkstream.config.lookup.fetch_secrets", lambda wanted, _: {one: secrets[one] for one in wanted}
    )
    config = fork(
        sink="{s3: {bucket: '${ssm:/orders/bucket}'}}", more="admin: {token: '${secretsmanager:orders#token}'}"
    )
    granted = told(capsys, config, "--key", f"secretsmanager={KEY}")
    assert ("ssm:GetParameter", f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/orders/bucket", "{}") in granted
    secret = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:orders-??????"
    assert ("secretsmanager:GetSecretValue", secret, "{}") in granted
    via = '{"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}'
    assert ("kms:Decrypt", KEY, via) in granted
    assert actions(granted, "arn:aws:s3:::our-bucket/*") == {"s3:PutObject", "s3:AbortMultipartUpload"}


def test_what_acts_as_another_role_is_that_roles_affair(capsys: pytest.CaptureFixture[str]) -> None:
    role = "arn:aws:iam::210987654321:role/writer"
    config = fork(
        "{sqs: {queue: orders, envelope: raw}}", f"{{s3: {{bucket: our-bucket, aws: {{role_arn: '{role}'}}}}}}"
    )
    own, roles = told(capsys, config), told(capsys, config, "--role", role)
    assert ("sts:AssumeRole", role, "{}") in own
    assert not [grant for grant in own if grant[0].startswith("s3:")]
    assert {action for action, _, _ in roles} == {"s3:PutObject", "s3:AbortMultipartUpload"}


def test_only_the_named_forks_count(capsys: pytest.CaptureFixture[str]) -> None:
    config = (
        "forks:\n  a: {source: memory, sink: {s3: {bucket: their-bucket}}}\n  b: {source: memory, sink: {s3: {bucket: our-bucket}}}\n"
        "aws: {region: eu-west-1}"
    )
    assert {resource for _, resource, _ in told(capsys, config, "--fork", "b")} == {"arn:aws:s3:::our-bucket/*"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing tells the account of arn:{partition}:sqs:eu-west-1:{account}:orders: name it with --account"),
        (["--account", ACCOUNT, "--key", "orders"], "--key: expected SERVICE=ARN"),
        (["--account", "1234"], "--account: expected the 12 digits of an account, found '1234'"),
        (["--account", ACCOUNT, "--role", "arn:aws:iam::1:role/r"], "nothing in forkstream.yaml acts as"),
        (["--account", ACCOUNT, "--fork", "two"], "has no fork two"),
    ],
)
def test_what_cannot_be_named_is_asked_for(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("forkstream.yaml").write_text(fork("{sqs: {queue: orders, envelope: raw}}"))
    assert run("iam", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_region_that_nobody_names_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("forkstream.yaml").write_text("forks: {one: {source: {sqs: {queue: orders, envelope: raw}}, sink: blackhole}}")
    assert run("iam", "--account", ACCOUNT) == 2
    assert "--region eu-west-1" in capsys.readouterr().err


def test_a_config_without_aws_has_no_policy(capsys: pytest.CaptureFixture[str]) -> None:
    Path("forkstream.yaml").write_text(fork())
    assert run("iam") == 2
    assert "needs no AWS" in capsys.readouterr().err


def test_a_policy_that_is_too_long_for_one_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    forks = "".join(f"  f{n}: {{source: memory, sink: {{s3: {{bucket: {'b' * 50}{n}}}}}}}\n" for n in range(100))
    Path("forkstream.yaml").write_text(f"forks:\n{forks}aws: {{region: eu-west-1}}\n")
    assert run("iam") == 0
    assert f"more than the {MAX_CHARACTERS} of a managed policy" in capsys.readouterr().err


def test_resources_with_the_same_actions_share_a_statement() -> None:
    needed = [Permission(actions=("s3:PutObject",), resource=f"arn:{{partition}}:s3:::{name}/*") for name in "ba"]
    needed.append(Permission(actions=("s3:GetObject", "s3:PutObject"), resource="arn:{partition}:s3:::c/*"))
    first, second = policy(grants(needed, HERE))["Statement"]
    assert (first["Action"], first["Resource"]) == (["s3:PutObject"], ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"])
    assert (second["Action"], second["Resource"]) == (["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::c/*"])


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"), ("us-isob-east-1", "aws-iso-b")],
)
def test_the_partition_is_the_regions(region: str, partition: str) -> None:
    needed = [
        Permission(
            actions=("s3:PutObject",), resource="arn:{partition}:s3:::our-bucket/*", aws=AwsSettings(region=region)
        )
    ]
    assert grants(needed, HERE) == [("s3:PutObject", f"arn:{partition}:s3:::our-bucket/*", "{}")]


def test_a_resource_without_an_account_asks_for_none() -> None:
    needed = [Permission(actions=("s3:PutObject",), resource="arn:{partition}:s3:::our-bucket/*")]
    assert grants(needed, Place()) == [("s3:PutObject", "arn:aws:s3:::our-bucket/*", "{}")]
    with pytest.raises(CommandError, match="--account"):
        grants([Permission(actions=("sns:Publish",), resource="arn:{partition}:sns:eu-west-1:{account}:t")], Place())
