"""The native wire goes where the SDK would go, trusts whom it would trust, and refuses a proxy aloud; the SDK verifies."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forkstream.aws.certificates import trust
from forkstream.aws.endpoint import Endpoint
from forkstream.aws.errors import classify, translating
from forkstream.aws.pool import ConnectionPool
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings
from tests.integration.raw_server import raw_server, serve_ok

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials and nothing else."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in (*PROXIES, *map(str.lower, PROXIES), "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def resolve(region: str | None = "eu-west-1", url: str | None = None) -> Endpoint:
    return await Endpoint.resolve(AwsSession(AwsSettings(region=region, endpoint_url=url)), "sqs")


@pytest.mark.parametrize(
    ("region", "variables", "host"),
    [
        ("eu-west-1", (), "sqs.eu-west-1.amazonaws.com"),
        ("cn-north-1", (), "sqs.cn-north-1.amazonaws.com.cn"),
        ("us-east-1", ("FIPS",), "sqs-fips.us-east-1.amazonaws.com"),
        ("us-east-1", ("DUALSTACK",), "sqs.us-east-1.api.aws"),
        ("us-east-1", ("FIPS", "DUALSTACK"), "sqs-fips.us-east-1.api.aws"),
    ],
)
async def test_the_endpoint_is_that_of_region_partition_fips_and_dual_stack(
    monkeypatch: pytest.MonkeyPatch, region: str, variables: tuple[str, ...], host: str
) -> None:
    for name in variables:
        monkeypatch.setenv(f"AWS_USE_{name}_ENDPOINT", "true")
    endpoint = await resolve(region)
    assert (endpoint.host, endpoint.port, endpoint.path, endpoint.region) == (host, 443, "/", region)
    assert endpoint.authority == host
    assert endpoint.trust is not None
    assert endpoint.trust.verify_mode is ssl.CERT_REQUIRED
    assert endpoint.trust.check_hostname


async def test_an_endpoint_url_counts_most_specific_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all:1")
    assert (await resolve()).authority == "all:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://sqs:2/base")
    endpoint = await resolve()
    assert (endpoint.authority, endpoint.path, endpoint.trust) == ("sqs:2", "/base", None)
    assert (await resolve(url="http://[::1]:3")).authority == "[::1]:3"
    assert (await resolve(url="http://plain")).authority == "plain"


async def test_no_region_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await resolve(region=None)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
async def test_a_proxy_that_applies_is_refused_and_the_way_out_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:secret@proxy:3128")
    with pytest.raises(UnavailableError) as caught:
        await resolve()
    assert caught.value.code == "proxy_unsupported"
    assert "HTTPS_PROXY" in caught.value.detail
    assert "client: aioboto3" in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"HTTP_PROXY": "http://proxy:1"}, None),
        ({"HTTPS_PROXY": "http://proxy:1"}, "http://plain:2"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "localhost,.amazonaws.com"}, None),
        ({"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "plain:2"}, "http://plain:2"),
        ({"HTTPS_PROXY": "http://proxy:1", "no_proxy": "*"}, None),
    ],
)
async def test_a_proxy_for_others_is_none_of_ours(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (await resolve(url=url)).host


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def server_side(certificate: Path) -> tuple[ssl.SSLContext, list[str | None]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    return context, asked


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_who_is_in_the_bundle_is_trusted_and_asked_for_by_name(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    tls, asked = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        endpoint = await resolve(url=f"https://localhost:{server.port}")
        pool = ConnectionPool(endpoint, 1, 20)
        assert [(await pool.ask(REQUEST, repeatable=True)).body for _ in range(2)] == [b"{}", b"{}"]
        assert (asked, server.connections) == (["localhost"], 1)
        pool.close()


async def test_the_first_bundle_of_the_three_counts(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/does/not/exist")
    endpoint = await resolve()
    assert endpoint.trust is not None
    assert len(endpoint.trust.get_ca_certs()) == 1


async def test_a_stranger_is_not_spoken_to(certificate: Path) -> None:
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        endpoint = await resolve(url=f"https://localhost:{server.port}")
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await ConnectionPool(endpoint, 1, 20).ask(REQUEST, repeatable=True)
        assert server.requests == []
    assert classify(caught.value, action="a", resource="r").code == "certificate"


async def test_a_certificate_of_another_name_is_refused(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        endpoint = await resolve(url=f"https://127.0.0.2:{server.port}")
        loop = asyncio.get_running_loop()
        # the address of another name, whoever answers there
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(
                asyncio.Protocol, "127.0.0.1", server.port, ssl=endpoint.trust, server_hostname=endpoint.host
            )


async def test_a_bundle_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/does/not/exist")
    with pytest.raises(Exception, match=r"certificate|misconfigured") as caught:
        await resolve()
    assert isinstance(caught.value, UnavailableError)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("proxied", [True, False])
async def test_the_sdk_s_clients_trust_the_same_behind_a_proxy_too(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, proxied: bool, known: bool
) -> None:
    if known:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    tls, asked = server_side(certificate)
    async with raw_server(serve_ok, tls) as server, connecting_proxy() as proxy:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert await sdk_code(f"https://localhost:{server.port}") == (None if known else "certificate")
        assert asked == ["localhost"]
        assert len(server.requests) == known


async def test_certificates_are_read_once_for_all_clients(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    read: list[str] = []

    def load(context: ssl.SSLContext, cafile: str, *others: object) -> None:
        read.append(cafile)
        whole(context, cafile, *others)  # type: ignore[arg-type]

    os.utime(certificate, ns=(1, 1))  # no other test has read it so
    whole = ssl.SSLContext.load_verify_locations
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        url = f"https://localhost:{server.port}"
        for _ in range(2):
            async with AwsSession(AwsSettings(region="eu-west-1", endpoint_url=url)).client("sqs") as sqs:
                await sqs.list_queues()
            await resolve(url=url)
    assert read == [str(certificate)]


def test_certificates_that_have_changed_are_read_anew(certificate: Path) -> None:
    before = trust(str(certificate))
    assert trust(str(certificate)) is before
    os.utime(certificate, ns=(0, 0))
    assert trust(str(certificate)) is not before


async def test_the_sdk_s_clients_take_no_certificate_of_another_name(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server, connecting_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert await sdk_code(f"https://elsewhere.invalid:{server.port}") == "certificate"
        assert not server.requests


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
async def test_a_bundle_that_is_set_and_empty_is_none(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, "")
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        assert await sdk_code(f"https://localhost:{server.port}") == "certificate"
        assert not server.requests


async def test_the_sdk_s_clients_name_a_bundle_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/does/not/exist")
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        assert await sdk_code(f"https://localhost:{server.port}") == "certificate"


async def test_clients_that_the_sdk_opens_to_find_credentials_trust_no_stranger_either(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/forkstream")
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    tls, _ = server_side(certificate)
    async with raw_server(serve_ok, tls) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://localhost:{server.port}")
        assert await sdk_code("http://127.0.0.1:1") == "certificate"
        assert not server.requests


async def sdk_code(url: str) -> str | None:
    """Ask the SQS at this URL with a client of the SDK; give the code of the error, None if there is none."""
    try:
        async with AwsSession(AwsSettings(region="eu-west-1", endpoint_url=url)).client("sqs") as sqs:
            with translating("list", "queues"):
                assert "QueueUrls" not in await sqs.list_queues()
    except UnavailableError as error:
        return error.code
    return None


@asynccontextmanager
async def connecting_proxy() -> AsyncIterator[str]:
    """A proxy for which every name is this machine's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there = await asyncio.open_connection("127.0.0.1", int(head.split()[1].rpartition(b":")[2]))
        opened.extend([writer, there[1]])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer), return_exceptions=True)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    opened: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in opened:
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for writer in opened], return_exceptions=True)
