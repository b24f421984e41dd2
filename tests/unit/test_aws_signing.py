"""Our signature is botocore's, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forkstream.aws.signing import Signer

OWN = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
SESSION = ReadOnlyCredentials("ASIAEXAMPLE", "another/secret+key", "IQoJb3JpZ2luX2VjE//////////wEaCXVz+token==")
HEADERS = (
    ("content-type", "application/x-amz-json-1.0"),
    ("x-amz-target", "AmazonSQS.ReceiveMessage"),
    ("x-amzn-query-mode", "true"),
)
AT = 1335920046


def of_botocore(
    monkeypatch: pytest.MonkeyPatch,
    request: tuple[str, str, str, str, Any, bytes],
    credentials: ReadOnlyCredentials,
    at: int,
) -> dict[str, str]:
    service, region, host, path, headers, body = request
    now = datetime.fromtimestamp(at, UTC)
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
        about = AWSRequest("POST", f"https://{host}{path}", dict(headers) | {"host": host}, body)
        assert credentials.access_key
        assert credentials.secret_key
        signing = Credentials(credentials.access_key, credentials.secret_key, credentials.token)
        botocore.auth.SigV4Auth(signing, service, region).add_auth(about)
    signed = {"x-amz-date", "x-amz-security-token", "authorization"}
    return {name.lower(): value for name, value in about.headers.items() if name.lower() in signed}


def ours(signer: Signer, headers: Any, body: bytes, credentials: ReadOnlyCredentials, at: int) -> dict[str, str]:
    lines = signer.sign(headers, body, credentials, at).split("\r\n")
    assert lines.pop() == ""
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize("credentials", [OWN, SESSION], ids=["own", "session"])
@pytest.mark.parametrize("body", [b"", b"{}", '{"QueueUrl": "caf\u00e9 \U0001f600"}'.encode(), b"\x00\xff" * 5000])
@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("sqs.eu-west-1.amazonaws.com", "/"),
        ("127.0.0.1:4566", "/"),
        ("[::1]:4566", "/"),
        ("proxy.example:8443", "/aws/a b/~x%20y"),
    ],
)
def test_the_corpus_is_signed_as_botocore_signs_it(
    monkeypatch: pytest.MonkeyPatch, host: str, path: str, body: bytes, credentials: ReadOnlyCredentials
) -> None:
    for service, region in (("sqs", "eu-west-1"), ("dynamodb", "us-gov-west-1"), ("sqs", "cn-north-1")):
        signer = Signer(service, region, host, path)
        for headers in (HEADERS, HEADERS[:2], (*HEADERS, ("x-amz-meta", "  much   space  "))):
            for at in (AT, 0, 2**31, 1_709_164_799):  # the last second of a leap day's eve
                request = (service, region, host, path, headers, body)
                assert ours(signer, headers, body, credentials, at) == of_botocore(
                    monkeypatch, request, credentials, at
                )


def test_one_signer_goes_through_days_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer("sqs", "eu-west-1", "sqs.eu-west-1.amazonaws.com")
    for at in (AT, AT + 86_400, AT, AT + 1):
        for credentials in (OWN, SESSION, OWN._replace(secret_key="changed"), OWN):
            request = ("sqs", "eu-west-1", "sqs.eu-west-1.amazonaws.com", "/", HEADERS, b"{}")
            assert ours(signer, HEADERS, b"{}", credentials, at) == of_botocore(monkeypatch, request, credentials, at)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    at=st.integers(0, 4_000_000_000),
    target=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
)
def test_any_request_is_signed_as_botocore_signs_it(
    monkeypatch: pytest.MonkeyPatch, body: bytes, secret: str, token: str | None, at: int, target: str
) -> None:
    headers = (HEADERS[0], ("x-amz-target", target))
    credentials = ReadOnlyCredentials("AKID", secret, token)
    request = ("sqs", "eu-west-1", "h:1", "/", headers, body)
    assert ours(Signer("sqs", "eu-west-1", "h:1"), headers, body, credentials, at) == of_botocore(
        monkeypatch, request, credentials, at
    )
