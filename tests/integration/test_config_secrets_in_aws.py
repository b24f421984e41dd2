"""``${ssm:…}`` and ``${secretsmanager:…}``: fetched once for the forks that run, as the config's ``aws`` says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3  # type: ignore[import-untyped]  # ships no types
import pytest

from forkstream.config.excerpt import read_excerpt
from forkstream.demo.embedded_aws import EmbeddedAws
from tests.config_kit import BucketConfig, load, messages

SECRET = "hunter2hunter2"


def config(prefix: str, *more: str) -> str:
    return "\n".join(
        [
            "forks:",
            f"  one: {{source: {{queue: {{queue: q}}}}, sink: {{bucket: {{bucket: abc, prefix: '{prefix}'}}}}}}",
            *more,
        ]
    )


def prefix_of(text: str, **environ: str) -> str:
    settings = load(text, environ={**os.environ, **environ}).plans[0].sink.config
    assert isinstance(settings, BucketConfig)
    return settings.prefix


def problems(text: str, **environ: str) -> list[str]:
    return messages(text, environ={**os.environ, **environ})


def test_a_parameter_is_fetched_decrypted(aws: EmbeddedAws, unique: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"/{unique}/token", Value=SECRET, Type="SecureString")
    assert prefix_of(config(f"in/${{ssm:/{unique}/token}}")) == f"in/{SECRET}"


def test_a_secret_is_fetched_whole_or_by_a_key(aws: EmbeddedAws, unique: str) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(
        Name=unique, SecretString='{"user": "u}", "port": 5432, "tls": true, "more": [1], "no": null}'
    )
    arn = secrets.describe_secret(SecretId=unique)["ARN"]
    assert prefix_of(config(f"${{secretsmanager:{unique}}}")).startswith('{"user"')
    assert prefix_of(config(f"${{secretsmanager:{unique}#user}} ${{secretsmanager:{arn}#port}}")) == "u} 5432"
    assert prefix_of(config(f"${{secretsmanager:{unique}#tls}}")) == "true"


def test_what_a_secret_lacks_is_told_with_what_to_do(aws: EmbeddedAws, unique: str) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=unique, SecretString='{"user": "u", "password": {"a": 1}}')
    secrets.create_secret(Name=f"{unique}-text", SecretString=SECRET)
    secrets.create_secret(Name=f"{unique}-bytes", SecretBinary=b"\x00")
    for reference, told in {
        f"secretsmanager:{unique}#usr": "the secret has no key usr among its 2, did you mean user?",
        f"secretsmanager:{unique}#zzz": "the secret has no key zzz among its 2; correct the key, or add it",
        f"secretsmanager:{unique}#password": "the secret's password is an object: name a key that holds text",
        f"secretsmanager:{unique}-text#a": "the secret is no JSON object, so it has no key a: leave #a out, or store one",
        f"secretsmanager:{unique}-bytes": "the secret is bytes: store it as text, in base64 if it has to be bytes",
        f"secretsmanager:{unique}-none": f"missing (secretsmanager:GetSecretValue on {unique}-none: "
        "ResourceNotFoundException): create it, or correct its name, the region or the account",
        f"ssm:/{unique}/none": f"missing (ssm:GetParameter on /{unique}/none: ParameterNotFound): create it, or correct"
        " its name, the region or the account",
    }.items():
        assert problems(config(f"${{{reference}}}")) == [f"forks.one.sink.bucket.prefix: ${{{reference}}}: {told}"]


def test_every_problem_is_told_at_once_and_none_shows_a_secret(aws: EmbeddedAws, unique: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"/{unique}/token", Value=SECRET, Type="SecureString")
    text = config(f"${{ssm:/{unique}/none}}", f"log: {{level: '${{ssm:/{unique}/token}}'}}", "admin: {port: x}")
    found = problems(text)
    assert [problem.partition(":")[0] for problem in found] == [
        "forks.one.sink.bucket.prefix",
        "log.level",
        "admin.port",
    ]
    assert f"found ******** (${{ssm:/{unique}/token}})" in found[1]
    assert SECRET not in "".join(found)


@pytest.fixture
def denying() -> Iterator[str]:
    """A server that answers as AWS does to who may not: the embedded AWS allows everything."""

    class Denying(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b'{"__type": "AccessDeniedException", "message": "User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k"}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the overridden method's
            pass

    with HTTPServer(("127.0.0.1", 0), Denying) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_missing_permission_is_named_and_aws_is_asked_as_the_config_says(aws: EmbeddedAws, denying: str) -> None:
    aws_settings = f"aws: {{endpoint_url: '{denying}', region: eu-west-1}}"
    asked = {"ssm:/a/b": "ssm:GetParameter on /a/b", "secretsmanager:c#d": "secretsmanager:GetSecretValue on c"}
    assert problems(config("${ssm:/a/b}${secretsmanager:c#d}", aws_settings)) == [
        f"forks.one.sink.bucket.prefix: ${{{reference}}}: denied ({action}: AccessDeniedException kms:Decrypt"
        " arn:aws:kms:eu-west-1:1:key/k): allow it to the identity that forkstream runs as"
        for reference, action in asked.items()
    ]


def test_what_says_how_aws_is_asked_cannot_lie_in_aws(aws: EmbeddedAws, unique: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"/{unique}/region", Value="eu-west-1", Type="String")
    (problem,) = problems(config("x", f"aws: {{region: '${{ssm:/{unique}/region}}'}}"))
    assert problem.startswith(f"aws.region: ${{ssm:/{unique}/region}}: AWS is not asked while aws at the top")


def test_only_what_is_read_is_fetched(aws: EmbeddedAws, unique: str) -> None:
    """The address of the admin endpoint is read for ``pause`` alone, with none of the forks' secrets."""
    boto3.client("ssm").put_parameter(Name=f"/{unique}/token", Value=SECRET, Type="SecureString")
    text = config(f"${{ssm:/{unique}/none}}", f"admin: {{token: '${{ssm:/{unique}/token}}'}}")
    assert read_excerpt("env:CONFIG", {**os.environ, "CONFIG": text}).admin.token == SECRET
