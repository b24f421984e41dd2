"""Requests that AWS would let in: Signature Version 4, computed here anew from what arrived."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, quote

import pytest
from aiohttp import web

from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings
from tests.integration.opensearch_kit import document, sink, write
from tests.integration.opensearch_stub import Request, Stub, stub_server

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AWS = AwsSettings(region="eu-west-1")
EVENTS = [document("orders", str(n)) for n in range(3)]


@pytest.fixture
async def stub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stub]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    async with stub_server() as server:
        yield server


def signature(request: Request, service: str) -> str:
    """Compute the signature as "Signature Version 4" in AWS's reference has it, from the request as it arrived."""
    path, _, query = request.target.partition("?")
    pairs = sorted((quote(k, safe=""), quote(v, safe="")) for k, v in parse_qsl(query, keep_blank_values=True))
    signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0]
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in signed.split(";"))
    digest = hashlib.sha256(request.raw).hexdigest()
    canonical = "\n".join(
        [request.method, quote(path), "&".join(f"{k}={v}" for k, v in pairs), headers, signed, digest]
    )
    time = request.headers["X-Amz-Date"]
    scope = f"{time[:8]}/eu-west-1/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for part in (time[:8], "eu-west-1", service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.parametrize("gzip", [True, False])
async def test_a_bulk_request_is_signed_as_aws_computes_it(stub: Stub, service: str, gzip: bool) -> None:
    many = [document("orders", str(n), {"fill": "x" * 1000}) for n in range(100)]  # large enough for the thread
    for events in (EVENTS, many):
        assert not await write(stub.url, events, sigv4=service, aws=AWS, gzip=gzip)
    for request in stub.requests:
        authorization = request.headers["Authorization"]
        assert authorization.startswith(f"AWS4-HMAC-SHA256 Credential={KEY_ID}/")
        assert authorization.endswith(f"Signature={signature(request, service)}")
        assert request.headers["X-Amz-Content-SHA256"] == hashlib.sha256(request.raw).hexdigest()
        assert "content-type" in authorization


async def test_a_check_of_an_index_with_an_odd_name_is_signed_too(stub: Stub) -> None:
    stub.handler = lambda *_: web.Response(status=403)
    async with sink(f"{stub.url}/a%20path", index="ör+ders", sigv4="es", aws=AWS) as opened:
        with pytest.raises(UnavailableError):
            await opened.check()
    assert [request.method for request in stub.requests] == ["HEAD", "POST"]
    for request in stub.requests:
        assert request.headers["Authorization"].endswith(f"Signature={signature(request, 'es')}")


async def test_a_session_token_is_signed_along(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert not await write(stub.url, EVENTS, sigv4="es", aws=AWS)
    assert stub.requests[0].headers["X-Amz-Security-Token"] == "token"
    assert stub.requests[0].headers["Authorization"].endswith(f"Signature={signature(stub.requests[0], 'es')}")


async def test_without_credentials_the_destination_is_unavailable(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    with pytest.raises(UnavailableError) as caught:
        await write(stub.url, EVENTS, sigv4="es", aws=AWS)
    assert caught.value.code == "credentials"


async def test_without_a_region_the_destination_is_unavailable(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    with pytest.raises(UnavailableError) as caught:
        await write(stub.url, EVENTS, sigv4="es")
    assert caught.value.code == "misconfigured"
