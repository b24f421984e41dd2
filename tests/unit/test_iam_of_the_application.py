"""The template's task policy grants exactly what ``forkstream iam`` says of the config that it is for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from forkstream.demo.application import DEPLOY
from tests.cli_kit import run
from tests.policy_kit import Grant, grants_of

REGION, ACCOUNT, STACK = "eu-west-1", "123456789012", "shop"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key"
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/orders"
DOMAIN_URL = f"https://search-orders-{'a1' * 13}.{REGION}.es.amazonaws.com"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": STACK,
    "AWS::NoValue": None,
}
ARNS = {
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/",
    "AWS::S3::Bucket": "arn:aws:s3:::",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/",
}


class Stack:
    """The template as CloudFormation would fill it in, as far as the policy and the outputs go."""

    def __init__(self, **parameters: str) -> None:
        from cfnlint.decode import decode  # type: ignore[import-untyped]  # noqa: PLC0415  # brings all of sympy

        decoded, problems = decode(str(DEPLOY / "application.yaml"))
        assert not problems
        template = json.loads(json.dumps(decoded))
        given = {name: parameter["Default"] for name, parameter in template["Parameters"].items()} | parameters
        self._known = PSEUDO | given
        self._resources = template["Resources"]
        self._conditions: dict[str, Any] = template["Conditions"]
        self.policy = self.filled(self._resources["TaskPolicy"]["Properties"]["PolicyDocument"])
        self.outputs = {name: self.filled(output["Value"]) for name, output in template["Outputs"].items()}

    def filled(self, node: Any) -> Any:  # noqa: PLR0911  # a return a function of the template
        match node:
            case {"Ref": name}:
                return self._known[name] if name in self._known else self._reference(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return self._attribute(name, attribute)
            case {"Fn::Sub": [text, values]}:
                return self._substituted(text, {name: self.filled(value) for name, value in values.items()})
            case {"Fn::Sub": text}:
                return self._substituted(text, {})
            case {"Fn::If": [name, yes, no]}:
                return self.filled(yes if self._holds(self._conditions[name]) else no)
            case list():
                return [filled for filled in map(self.filled, node) if filled is not None]
            case dict():
                return {name: self.filled(value) for name, value in node.items()}
        return node

    def _holds(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::Equals": [left, right]}:
                return bool(self.filled(left) == self.filled(right))
        raise AssertionError(condition)

    def _reference(self, name: str) -> str:
        is_queue = self._resources[name]["Type"] == "AWS::SQS::Queue"
        return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}" if is_queue else name

    def _attribute(self, name: str, attribute: str) -> str:
        return ARNS[self._resources[name]["Type"]] + name if attribute == "Arn" else f"{name}.{attribute}"

    def _substituted(self, text: str, values: dict[str, Any]) -> str:
        def value(found: re.Match[str]) -> str:
            name, _, attribute = found[1].partition(".")
            if attribute:
                return self._attribute(name, attribute)
            return str(values[name] if name in values else self.filled({"Ref": name}))

        return re.sub(r"\$\{([\w:.]+)\}", value, text)

    @property
    def environment(self) -> dict[str, str]:
        return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(): value for name, value in self.outputs.items()}


def told(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **environment: str
) -> set[Grant]:
    for name, value in (stack.environment | {"AWS_REGION": REGION} | environment).items():
        monkeypatch.setenv(name, value)
    keys = ["--key", f"sqs={KEY}", "--key", f"s3={KEY}"]
    assert run("iam", str(DEPLOY / "ecommerce.yaml"), "--account", ACCOUNT, *keys) == 0
    return grants_of(json.loads(capsys.readouterr().out))


def test_the_template_grants_exactly_what_the_command_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack()
    assert grants_of(stack.policy) == told(stack, monkeypatch, capsys, OPENSEARCH_URL="https://search.example.com")


def test_it_does_so_with_a_bucket_a_queue_and_a_domain_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(BackupBucketName="our-backup", ReplayDestinationQueueName="elsewhere", SearchDomainArn=DOMAIN)
    granted = grants_of(stack.policy)
    assert granted == told(stack, monkeypatch, capsys, OPENSEARCH_URL=DOMAIN_URL, OPENSEARCH_SIGV4="es")
    assert ("s3:PutObject", "arn:aws:s3:::our-backup/orders/*", "{}") in granted
    assert ("sqs:GetQueueUrl", f"arn:aws:sqs:{REGION}:{ACCOUNT}:elsewhere", "{}") in granted
    assert ("es:ESHttpPost", f"{DOMAIN}/*", "{}") in granted


def test_the_service_may_not_decrypt_what_its_encrypt_stages_have_written() -> None:
    conditions = {condition for action, _, condition in grants_of(Stack().policy) if action == "kms:Decrypt"}
    services = {json.loads(condition)["StringEquals"]["kms:ViaService"].split(".")[0] for condition in conditions}
    assert services == {"sqs", "s3"}
