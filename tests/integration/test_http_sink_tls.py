from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forkstream.errors import UnavailableError
from forkstream.event import Event
from forkstream.ports import Context
from forkstream.sinks.http import HttpConfig, HttpSink
from tests.integration.opensearch_stub import Stub, stub_server


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody vouches for, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
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
        server.handler = lambda *_: web.Response()
        yield server


async def write(url: str, **settings: Any) -> int:
    async with HttpSink(HttpConfig(url=url, **settings), Context(fork="f")) as sink:
        return len(await sink.write([Event(b"1", id="1")]))


async def test_a_certificate_that_nobody_vouches_for_is_refused(tls: Stub) -> None:
    with pytest.raises(UnavailableError) as caught:
        await write(tls.url)
    assert caught.value.code == "certificate"
    assert tls.requests == []


async def test_a_certificate_of_the_ca_file_is_trusted(tls: Stub, certificate: Path) -> None:
    assert await write(tls.url, ca_file=str(certificate)) == 0


async def test_a_certificate_for_another_name_is_refused(tls: Stub, certificate: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        await write(tls.url.replace("localhost", "127.0.0.1"), ca_file=str(certificate))
    assert caught.value.code == "certificate"


async def test_a_certificate_can_go_unchecked(tls: Stub) -> None:
    assert await write(tls.url, verify=False) == 0


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_that_cannot_be_read_makes_the_sink_unavailable(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UnavailableError) as caught:
        await write("https://localhost/", ca_file=str(file))
    assert caught.value.code == "certificate"
    assert str(file) in caught.value.detail
