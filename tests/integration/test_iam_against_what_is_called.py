"""The policy of the shipped config against the calls that it makes: nothing needed is missing, nothing granted is unused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.config.loading import load_config
from forkstream.demo.application import DEPLOY, Application, deploy
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.demo.overlay import overlaid
from tests.cli_kit import run
from tests.faults.relay import Answer, Handler, Request, refusal, relay_to
from tests.faults.service_process import serving, wait_until
from tests.policy_kit import Grant, grants_of

ACCOUNT, REGION = "000000000000", "eu-west-1"
ORDER = """{"id":%d,"date":"2026-01-31","customer":{"id":1},"payment":{"id":2,"amount":450.00,"currency":"usd",
"card-number":"4111"},"items":[{"quantity":2}]}"""
NO_ORDER = '{"id":1}'
NO_JSON = "no order at all"
SERVICES = {"AmazonSQS": "sqs", "DynamoDB_20120810": "dynamodb", "TrentService": "kms", "AmazonSSM": "ssm"}


class Calls:
    """What was asked of AWS through the relay, as IAM sees it."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.made: set[Grant] = set()
        self.fail: Callable[[Request], bool] = lambda _: False
        self.policy: set[Grant] | None = None
        """What may be called, while whatever else is asked is refused."""

    async def step(self, request: Request, pass_on: Handler) -> Answer:
        asked = set(self._of(request))
        if self.policy is not None and not all(any(covers(grant, call) for grant in self.policy) for call in asked):
            return refusal(403, "AccessDeniedException")
        self.made |= asked
        return refusal(503, "ServiceUnavailable") if self.fail(request) else await pass_on(request)

    def _of(self, request: Request) -> Iterator[Grant]:
        if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            yield "sns:" + parse_qs(request.body.decode())["Action"][0], "*", "{}"
            return
        if "X-Amz-Target" not in request.headers:
            yield from self._of_s3(request)
            return
        family, _, operation = request.headers["X-Amz-Target"].partition(".")
        service, body = SERVICES[family], request.json
        match service:
            case "sqs":
                resources = [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{request.about}"]
            case "dynamodb":
                tables = body.get("RequestItems") or [body["TableName"]]
                resources = [f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}" for table in tables]
            case "ssm":
                resources = [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{body['Name']}"]
            case _:
                resources = [body["KeyId"]]
        # IAM knows one action for an operation and its batches; DynamoDB's are actions of their own
        action = operation if service == "dynamodb" else operation.removesuffix("Batch")
        yield from ((f"{service}:{action}", resource, "{}") for resource in resources)
        # queues with a customer's key, see "Amazon SQS key management"
        if action == "ReceiveMessage":
            yield self._via("sqs", "Decrypt")
        if action == "SendMessage":
            yield self._via("sqs", "Decrypt")
            yield self._via("sqs", "GenerateDataKey")

    def _of_s3(self, request: Request) -> Iterator[Grant]:
        address = urlsplit(request.path)
        query, resource = parse_qs(address.query, keep_blank_values=True), f"arn:aws:s3:::{address.path[1:]}"
        if request.method == "DELETE" and "uploadId" in query:
            yield "s3:AbortMultipartUpload", resource, "{}"
            return
        assert request.method == "PUT" or "uploads" in query, request
        yield "s3:PutObject", resource, "{}"
        # buckets with a customer's key, see "Protecting data using SSE-KMS": parts are put together after a decryption
        yield self._via("s3", "GenerateDataKey")
        if "uploads" in query:
            yield self._via("s3", "Decrypt")

    def _via(self, service: str, action: str) -> Grant:
        condition = {"StringEquals": {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}}
        return f"kms:{action}", self._key, json.dumps(condition)


@pytest.fixture
def application(aws: EmbeddedAws, unique: str) -> Application:
    return deploy(aws, stack=unique)


@pytest.fixture
def config(application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in application.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANALYTICS_FILE", str(tmp_path / "analytics.duckdb"))
    monkeypatch.setenv("FORKSTREAM_ADMIN__PORT", "0")
    monkeypatch.setenv("FORKSTREAM_LOG__FORMAT", "json")
    path = tmp_path / "forkstream.yaml"
    path.write_text(overlaid(DEPLOY / "ecommerce.yaml", DEPLOY / "embedded-search.yaml"))
    return path


def granted(config: Path, key: str, capsys: pytest.CaptureFixture[str]) -> set[Grant]:
    assert run("iam", str(config), "--account", ACCOUNT, "--key", f"sqs={key}", "--key", f"s3={key}") == 0
    return grants_of(json.loads(capsys.readouterr().out))


async def ask_all(config: Path) -> None:
    """Ask every plugin as a halted fork does. Not ``forkstream check``: its warnings look further, as whoever runs it."""
    loaded = await anyio.to_thread.run_sync(load_config, str(config))
    for plan in loaded.plans:
        for _, plugin in plan.steps:
            async with plugin:
                await plugin.check()


def covers(grant: Grant, call: Grant) -> bool:
    return grant[0] == call[0] and grant[2] == call[2] and fnmatchcase(call[1], grant[1])


def test_nothing_needed_is_missing_and_nothing_granted_is_unused(
    aws: EmbeddedAws, application: Application, config: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    policy = granted(config, application.key_arn, capsys)
    sqs, queues = boto3.client("sqs"), application.queues
    wanted = {"paused": {"replay": False}}
    parameter = application.environment["FORKSTREAM_CONTROL"].removeprefix("ssm:")
    boto3.client("ssm").put_parameter(Name=parameter, Value=json.dumps(wanted), Type="String")

    def send(body: str, *forks: str) -> None:
        for fork in forks:
            sqs.send_message(QueueUrl=queues[fork], MessageBody=body)

    calls = Calls(application.key_arn)
    with relay_to(aws.endpoint_url) as relay:
        relay.step = calls.step
        with monkeypatch.context() as through:
            through.setenv("AWS_ENDPOINT_URL", relay.url)
            calls.policy = policy  # it looks around for warnings too, and must get on where that is not allowed
            anyio.run(ask_all, config)
            calls.policy = None
        send(ORDER % 1, "checkout", "storage-backup")
        send(NO_ORDER, "checkout", "search-analytics")  # a dead letter each
        send(NO_JSON, "checkout", "storage-backup", "search-analytics")  # stays on the queue, after a while
        send(ORDER % 2, "replay")
        brisk = {"FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE": "200ms"}
        with serving(config, AWS_ENDPOINT_URL=relay.url, **brisk) as service:
            wait_until(lambda: service.fork("replay")["written"] == 1, 60, service.logged)
            wait_until(lambda: service.fork("storage-backup")["written"] == 1, 60, service.logged)
            wait_until(lambda: service.fork("checkout")["dead"] == 1, 60, service.logged)
            wait_until(lambda: service.fork("search-analytics")["dead"] == 1, 60, service.logged)
            wait_until(lambda: service.fork("search-analytics")["retried"], 60, service.logged)
            # a destination that is down makes the last fork give an event back
            calls.fail = lambda request: request.action == "SendMessageBatch"
            send(ORDER % 3, "replay")
            wait_until(lambda: "replay" in told(service.logged()), 60, service.logged)
        calls.fail = lambda _: False
        send(ORDER % 4, "checkout")
        with serving(config, "--fork", "checkout", AWS_ENDPOINT_URL=relay.url, BUG_ENABLED="true") as service:
            wait_until(lambda: service.fork("checkout")["written"] >= 1, 60, service.logged)
    missing = {call for call in calls.made if not any(covers(grant, call) for grant in policy)}
    unused = {grant for grant in policy if not any(covers(grant, call) for call in calls.made)}
    assert (missing, unused) == (set(), set())


def told(log: str) -> set[str]:
    """The forks that have logged a failure."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return {line["fork"] for line in lines if line.get("event") == "failed"}
