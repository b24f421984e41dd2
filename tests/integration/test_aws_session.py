from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from aiobotocore.config import AioConfig
from aiohttp import web
from botocore.exceptions import ClientError

from forkstream.aws.errors import classify
from forkstream.aws.session import AwsSession
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings

ROLE = "arn:aws:iam::111122223333:role/fork"
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ROLE{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{expiry}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Recorder:
    """A server that takes every call, keeps who signed it, and hands out a role's credentials of a chosen life."""

    def __init__(self, *lives: timedelta, status: int = 200) -> None:
        self.lives = list(lives)
        self.status = status
        self.signers: list[str] = []
        self.agents: list[str] = []
        self.assumed: list[dict[str, list[str]]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def answer(self, request: web.Request) -> web.Response:
        credential = re.search(r"Credential=([^/]+)/\d+/([^/]+)/(\w+)", request.headers["Authorization"])
        assert credential is not None
        self.agents.append(request.headers["User-Agent"])
        if credential[3] == "sts":
            self.assumed.append(parse_qs(await request.text()) | {"by": [credential[1]], "region": [credential[2]]})
            expiry = (datetime.now(UTC) + self.lives.pop(0)).isoformat()
            return web.Response(text=ASSUMED.format(number=len(self.assumed), expiry=expiry))
        self.signers.append(credential[1])
        return web.json_response({"QueueUrl": "x"}, status=self.status)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which the credential chain finds nothing, and asks nobody."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def keys(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


async def call(session: AwsSession) -> None:
    async with session.client("sqs") as sqs:
        await sqs.get_queue_url(QueueName="orders")


async def test_clients_of_every_service_reach_aws(aws: EmbeddedAws, unique: str) -> None:
    session = AwsSession(AwsSettings())
    async with (
        session.client("sqs") as sqs,
        session.client("s3") as s3,
        session.client("dynamodb") as dynamodb,
        session.client("kms") as kms,
        session.client("sns") as sns,
        session.client("ssm") as ssm,
    ):
        url = (await sqs.create_queue(QueueName=unique))["QueueUrl"]
        await s3.list_buckets()
        await dynamodb.list_tables()
        await kms.list_keys()
        await sns.list_topics()
        await ssm.describe_parameters()
    assert url == boto3.client("sqs").get_queue_url(QueueName=unique)["QueueUrl"]


async def test_without_a_role_calls_are_signed_with_the_chains_credentials(keys: None) -> None:
    recorder = Recorder()
    async with recorder.open() as url:
        await call(AwsSession(AwsSettings(endpoint_url=url)))
    assert recorder.signers == ["OWN"]
    assert re.search(r" forkstream/\d", recorder.agents[0])


async def test_a_role_is_assumed_with_the_chains_credentials_and_the_external_id(keys: None) -> None:
    recorder = Recorder(timedelta(hours=1))
    async with recorder.open() as url:
        settings = AwsSettings(endpoint_url=url, role_arn=ROLE, external_id="secret-7", region="eu-central-1")
        session = AwsSession(settings)
        await call(session)
        await call(session)
    (assumed,) = recorder.assumed
    assert recorder.signers == ["ROLE1", "ROLE1"]
    assert assumed["by"] == ["OWN"]
    assert assumed["RoleArn"] == [ROLE]
    assert assumed["ExternalId"] == ["secret-7"]
    assert assumed["RoleSessionName"] == ["forkstream"]
    assert assumed["region"] == ["eu-central-1"]


async def test_a_roles_credentials_are_renewed_before_they_expire(keys: None) -> None:
    recorder = Recorder(timedelta(minutes=5), timedelta(hours=1))
    async with recorder.open() as url:
        session = AwsSession(AwsSettings(endpoint_url=url, role_arn=ROLE))
        for _ in range(3):
            await call(session)
    assert recorder.signers == ["ROLE1", "ROLE2", "ROLE2"]


@pytest.mark.parametrize("role_arn", [None, ROLE])
async def test_an_endpoint_of_one_service_is_taken_from_the_environment(
    keys: None, monkeypatch: pytest.MonkeyPatch, role_arn: str | None
) -> None:
    sqs, rest = Recorder(), Recorder(timedelta(hours=1))
    async with sqs.open() as sqs_url, rest.open() as rest_url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", rest_url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs_url)
        await call(AwsSession(AwsSettings(role_arn=role_arn)))
    assert sqs.signers == ["ROLE1" if role_arn else "OWN"]
    assert rest.signers == []
    assert len(rest.assumed) == (1 if role_arn else 0)


async def test_a_profile_gives_region_credentials_and_endpoint(
    nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder()
    async with recorder.open() as url:
        (tmp_path / "config").write_text(
            "[profile shop]\nregion = eu-west-3\nservices = local\naws_access_key_id = SHOP\naws_secret_access_key = s\n"
            f"[services local]\nsqs =\n  endpoint_url = {url}\n"
        )
        await call(AwsSession(AwsSettings(profile="shop")))
    assert recorder.signers == ["SHOP"]


async def test_a_call_is_made_once_since_the_runtime_owns_every_retry(keys: None) -> None:
    recorder = Recorder(status=503)
    async with recorder.open() as url:
        with pytest.raises(ClientError):
            await call(AwsSession(AwsSettings(endpoint_url=url)))
    assert len(recorder.signers) == 1


async def test_single_settings_can_be_overridden_and_the_rest_stay(keys: None) -> None:
    recorder = Recorder(status=503)
    async with recorder.open() as url:
        session = AwsSession(AwsSettings(endpoint_url=url))
        async with session.client("s3", connections=7, config=AioConfig(s3={"addressing_style": "path"})) as s3:
            config: Any = s3.meta.config
            with pytest.raises(ClientError):
                await s3.list_buckets()
    assert config.max_pool_connections == 7
    assert config.s3["addressing_style"] == "path"
    assert len(recorder.signers) == 1


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (AwsSettings(profile="gone"), "misconfigured"),
        (AwsSettings(), "misconfigured"),
        (AwsSettings(region="eu-west-1", role_arn=ROLE), "credentials"),
    ],
)
async def test_what_the_chain_lacks_makes_aws_unavailable(nowhere: None, settings: AwsSettings, code: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        async with AwsSession(settings).client("sqs"):
            pass
    assert caught.value.code == code


async def test_without_any_credentials_the_first_call_says_so(nowhere: None) -> None:
    session = AwsSession(AwsSettings(region="eu-west-1", endpoint_url="http://127.0.0.1:9"))
    async with session.client("sqs") as sqs:
        with pytest.raises(Exception, match="Unable to locate credentials") as caught:
            await sqs.list_queues()
    assert isinstance(caught.value, Exception)
    assert classify(caught.value, action="sqs:ListQueues", resource="*").code == "credentials"


async def test_credentials_to_sign_with_are_renewed_before_they_expire(keys: None) -> None:
    recorder = Recorder(timedelta(minutes=5), timedelta(hours=1))
    async with recorder.open() as url:
        session = AwsSession(AwsSettings(endpoint_url=url, role_arn=ROLE))
        assert [(await session.credentials()).access_key for _ in range(3)] == ["ROLE1", "ROLE2", "ROLE2"]


async def test_credentials_to_sign_with_and_region_are_those_of_the_clients(keys: None) -> None:
    session = AwsSession(AwsSettings())
    assert (await session.credentials()).access_key == "OWN"
    assert session.region == "eu-west-1"
    assert AwsSession(AwsSettings(region="eu-central-1", role_arn=ROLE)).region == "eu-central-1"


async def test_without_credentials_or_region_there_is_nothing_to_sign_with(nowhere: None) -> None:
    with pytest.raises(UnavailableError) as caught:
        await AwsSession(AwsSettings(region="eu-west-1")).credentials()
    assert caught.value.code == "credentials"
    for settings in (AwsSettings(), AwsSettings(profile="gone")):
        with pytest.raises(UnavailableError) as caught:
            _ = AwsSession(settings).region
        assert caught.value.code == "misconfigured"


async def test_the_region_comes_from_the_environment_as_other_sdks_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert AwsSession(AwsSettings()).region == "eu-central-1"
    assert AwsSession(AwsSettings(region="eu-west-3")).region == "eu-west-3"
