"""How the OpenSearch sink reaches a cluster: addresses, users, certificates, compression."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings, Secret
from forkstream.sinks.opensearch_client import BasicAuth
from tests.integration.opensearch_kit import document, sink, write
from tests.integration.opensearch_stub import Stub, stub_server

EVENTS = [document("orders", str(n), {"fill": "x" * 100}, version=3, routing="r") for n in range(4)]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


async def test_a_bulk_request_is_what_opensearch_documents(stub: Stub) -> None:
    assert not await write(stub.url, EVENTS[:1])
    (request,) = stub.requests
    assert (request.method, request.target.split("?")[0]) == ("POST", "/_bulk")
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert request.headers["User-Agent"].startswith("forkstream/")
    action, body, end = request.body.split(b"\n")
    assert action == (
        b'{"index":{"_index":"orders","_id":"0","version":3,"version_type":"external_gte","routing":"r"}}'
    )
    assert (body, end) == (EVENTS[0].body, b"")


async def test_requests_are_compressed_unless_told_otherwise(stub: Stub) -> None:
    assert not await write(stub.url, EVENTS)
    assert not await write(stub.url, EVENTS, gzip=False)
    compressed, plain = stub.requests
    assert compressed.body == plain.raw
    assert len(compressed.raw) < len(plain.raw) / 2
    assert "Content-Encoding" not in plain.headers


async def test_megabytes_go_out_without_a_warning(stub: Stub) -> None:
    big = document("orders", "1", {"fill": "x" * 2_000_000})
    assert not await write(stub.url, [big], gzip=False)
    assert len(stub.requests[0].raw) > 2_000_000


async def test_user_and_password_are_sent_as_basic_authorization(stub: Stub) -> None:
    assert not await write(stub.url, EVENTS, basic=BasicAuth(user="forkstream", password=Secret("pä:ss")))
    expected = "Basic " + b64encode("forkstream:pä:ss".encode()).decode()
    assert stub.requests[0].headers["Authorization"] == expected


async def test_requests_go_to_each_address_in_turn(stub: Stub) -> None:
    async with stub_server() as other, sink((f"{stub.url}/behind/a/proxy/", other.url)) as opened:
        for _ in range(4):
            assert not await opened.write(EVENTS)
        assert len(stub.requests) == len(other.requests) == 2
        assert stub.requests[0].target.startswith("/behind/a/proxy/_bulk?")


async def test_nothing_of_a_request_is_ever_logged(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    planted = document("orders", "planted-4111", {"card": "planted-4111"})
    assert not await write(stub.url, [planted], basic=BasicAuth(user="u", password=Secret("planted-4111")))
    assert "planted" not in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        *(
            {"url": url}
            for url in ("", (), "localhost:9200", "ftp://host", "https://", "https://host?x=1", "https://h#x")
        ),
        *({"url": url} for url in ("https://user:secret@host", "https://host:port", ("https://a", "b"))),
        {"url": "https://host", "basic": BasicAuth(user="u", password=Secret("p")), "sigv4": "es"},
    ],
)
def test_settings_that_cannot_work_are_a_config_error_that_shows_no_secret(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError) as caught:
        sink(**settings)  # type: ignore[arg-type]  # several types by turns
    assert "secret" not in str(caught.value)


def test_no_settings_need_a_server_or_a_loop() -> None:
    sink("https://search.example.com", sigv4="aoss", aws=AwsSettings(region="eu-west-1"))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody vouches for, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
async def tls(certificate: Path) -> AsyncIterator[Stub]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with stub_server(context) as server:
        yield server


async def test_a_certificate_that_nobody_vouches_for_is_refused(tls: Stub) -> None:
    with pytest.raises(UnavailableError) as caught:
        await write(tls.url, EVENTS)
    assert caught.value.code == "certificate"
    assert not tls.requests


async def test_a_certificate_of_the_ca_file_is_trusted(tls: Stub, certificate: Path) -> None:
    assert not await write(tls.url, EVENTS, ca_file=str(certificate))


async def test_a_certificate_can_go_unchecked(tls: Stub) -> None:
    assert not await write(tls.url, EVENTS, verify=False)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UnavailableError) as caught:
        await write("https://localhost", EVENTS, ca_file=str(file))
    assert caught.value.code == "certificate"
    assert str(file) in caught.value.detail
