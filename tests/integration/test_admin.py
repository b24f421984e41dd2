"""The admin endpoint on real sockets: what it shows, who may change what, and that no caller can hold it up."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from forkstream import admin as module
from forkstream.admin import Admin
from forkstream.config.model import AdminSettings
from forkstream.errors import CommandError, UnavailableError
from forkstream.settings import Secret
from forkstream.status import ForkStatus, ServiceStatus

TOKEN = "correct horse"
CARD = "4111111111111111"
JSON = {"content-type": "application/json"}
WITH_TOKEN = {**JSON, "authorization": f"Bearer {TOKEN}"}


class Fake:
    """A service that remembers what it was asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Gauge("forkstream_in_flight_events", "Events held", ["fork"], registry=self.registry).labels("search").set(3)
        self.now = ServiceStatus(
            run="r1", version="0.1.0", healthy=True, ready=True, draining=False, switches={"checkout-bug": False},
            forks=[ForkStatus(name="search", state="open"), ForkStatus(name="replay", state="paused")],
        )  # fmt: skip
        self.asked: list[tuple[str, bool]] = []
        self.error: Exception | None = None

    def status(self) -> ServiceStatus:
        return self.now

    async def pause(self, fork: str, paused: bool) -> str:
        return self._ask(fork, paused)

    async def switch(self, name: str, on: bool) -> str:
        return self._ask(name, on)

    def _ask(self, name: str, wish: bool) -> str:
        if self.error:
            raise self.error
        self.asked.append((name, wish))
        return "this process only"

    def become(self, *forks: ForkStatus, healthy: bool = True, ready: bool = True) -> None:
        self.now = msgspec.structs.replace(self.now, forks=list(forks), healthy=healthy, ready=ready)


@pytest.fixture
def served() -> Fake:
    return Fake()


class Caller:
    """Asks an admin endpoint over a socket of its own each time."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(
        self, method: str, path: str, *, json: Any = None, **options: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        connector = aiohttp.UnixConnector(self.url.removeprefix("unix:")) if self.url.startswith("unix:") else None
        base = "http://localhost" if connector else self.url
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, base + path, json=json, **options) as response,
        ):
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, msgspec.json.decode(text) if is_json else text, response


@asynccontextmanager
async def serving(served: Fake, **settings: Any) -> AsyncIterator[Caller]:
    async with Admin(AdminSettings(port=0, **settings), served) as admin:
        yield Caller(admin.url)


# What it shows.


async def test_the_index_names_what_there_is(served: Fake) -> None:
    async with serving(served) as ask:
        status, text, response = await ask("GET", "/")
        assert status == 200
        assert response.content_type == "text/plain"
        for path in ("/health", "/ready", "/metrics", "/forks"):
            assert path in text
            assert (await ask("GET", path))[0] == 200


async def test_health_is_red_only_when_a_restart_helps_and_says_for_which_fork(served: Fake) -> None:
    async with serving(served) as ask:
        served.become(ForkStatus(name="search", state="halted", code="denied"), ready=False)
        assert (await ask("GET", "/health"))[:2] == (200, {"healthy": True, "reasons": {}})
        served.become(
            ForkStatus(name="search", state="halted", code="denied"),
            ForkStatus(name="replay", state="open", stalled=True),
            ForkStatus(name="checkout", state="failed", code="KeyError"),
            healthy=False,
        )
        status, body, _ = await ask("GET", "/health")
        assert (status, body) == (
            503, {"healthy": False, "reasons": {"replay": "stalled", "checkout": "failed: KeyError"}},
        )  # fmt: skip


async def test_ready_tells_of_every_fork_that_is_not_well(served: Fake) -> None:
    async with serving(served) as ask:
        assert (await ask("GET", "/ready"))[:2] == (200, {"ready": True, "draining": False, "reasons": {}})
        served.become(
            ForkStatus(name="search", state="halted", code="denied", detail="s3:PutObject on orders"),
            ForkStatus(name="backup", state="draining"),
            ForkStatus(name="replay", state="paused"),
            ready=False,
        )
        status, body, _ = await ask("GET", "/ready")
        assert (status, body["reasons"]) == (503, {"search": "halted: denied", "backup": "draining"})


async def test_forks_is_the_whole_status(served: Fake) -> None:
    async with serving(served) as ask:
        _, body, _ = await ask("GET", "/forks")
    assert msgspec.convert(body, ServiceStatus) == served.now


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_metrics_are_what_prometheus_reads(served: Fake, accept: str) -> None:
    async with serving(served) as ask:
        _, text, response = await ask("GET", "/metrics", headers={"accept": accept})
    assert response.content_type == accept.partition(";")[0]
    families = {family.name: family for family in text_string_to_metric_families(text.replace("# EOF\n", ""))}
    assert families["forkstream_in_flight_events"].samples[0].value == 3


async def test_answers_are_never_kept_or_guessed_at_and_do_not_tell_the_servers_version(served: Fake) -> None:
    async with serving(served) as ask:
        for path in ("/forks", "/nowhere"):
            _, _, response = await ask("GET", path)
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["server"] == "forkstream"


# What it is asked.


async def test_forks_are_paused_and_resumed_and_switches_turned(served: Fake) -> None:
    async with serving(served) as ask:
        assert (await ask("POST", "/forks/replay/resume", headers=JSON))[:2] == (
            200, {"paused": {"replay": False}, "reach": "this process only"},
        )  # fmt: skip
        assert (await ask("POST", "/forks/search/pause", json={}))[0] == 200
        assert (await ask("POST", "/switches/checkout-bug", json={"on": True}))[:2] == (
            200, {"switches": {"checkout-bug": True}, "reach": "this process only"},
        )  # fmt: skip
    assert served.asked == [("replay", False), ("search", True), ("checkout-bug", True)]


async def test_an_unknown_fork_is_answered_with_the_known_ones(served: Fake) -> None:
    async with serving(served) as ask:
        status, body, _ = await ask("POST", "/forks/serch/pause", headers=JSON)
    assert (status, body) == (404, {"error": "no fork 'serch', did you mean search?; known: search, replay"})
    assert served.asked == []


@pytest.mark.parametrize("body", ["", "{", "[]", '{"on": 1}', '{"on": true, "for": "60s"}', "\xff"])
async def test_a_switch_is_turned_by_one_body_only(served: Fake, body: str) -> None:
    async with serving(served) as ask:
        status, answer, _ = await ask("POST", "/switches/checkout-bug", data=body.encode("latin-1"), headers=JSON)
    assert (status, answer["error"]) == (400, 'expected {"on": true} or {"on": false}')
    assert served.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/forks/replay/pause", 405),
        ("DELETE", "/forks", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/forks/replay/delete", 404),
        ("POST", "/switches/a%20b", 404),
        ("POST", f"/switches/{'x' * 81}", 404),
    ],
)
async def test_nothing_else_can_be_asked(served: Fake, method: str, path: str, status: int) -> None:
    async with serving(served) as ask:
        found, body, response = await ask(method, path, headers=JSON)
        assert found == status
        assert "GET / tells" in body["error"]
        assert ("allow" in response.headers) is (status == 405)


async def test_a_desired_state_that_cannot_be_written_is_told_with_its_reason(served: Fake) -> None:
    async with serving(served) as ask:
        served.error = UnavailableError("denied", "ssm:PutParameter on /forkstream/control")
        assert (await ask("POST", "/forks/replay/pause", headers=JSON))[:2] == (
            503, {"error": "denied", "detail": "ssm:PutParameter on /forkstream/control"},
        )  # fmt: skip
        served.error = CommandError("not while draining")
        assert (await ask("POST", "/forks/replay/pause", headers=JSON))[:2] == (409, {"error": "not while draining"})


async def test_a_bug_is_answered_and_logged_without_its_text(served: Fake) -> None:
    served.error = ValueError(CARD)
    with capture_logs() as lines:
        async with serving(served) as ask:
            status, body, _ = await ask("POST", "/forks/replay/pause", headers=JSON)
            assert (await ask("GET", "/health"))[0] == 200
    assert status == 500
    assert CARD not in json.dumps(body)
    (line,) = lines
    assert (line["event"], line["path"]) == ("admin failed", "/forks/{name}/{wish}")
    assert CARD not in str(line)


async def test_requests_are_not_logged(served: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "aiohttp")
    async with serving(served) as ask:
        await ask("POST", f"/switches/{CARD}", json={"off": CARD})
        await ask("GET", f"/?{CARD}")
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


@pytest.mark.parametrize(
    "sent", [b"GET /health HTTP/1.1\r\nHost: " + b"x" * 20_000 + b"\r\n\r\n", b"\x16\x03\x01 no HTTP\r\n\r\n"]
)
async def test_what_is_no_request_is_refused_and_no_error_of_ours(
    served: Fake, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with serving(served) as ask, connected(ask.url) as (reader, writer):
        writer.write(sent)
        with anyio.fail_after(60):
            assert b" 400 Bad Request" in await reader.read()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# Who may change anything.


@pytest.mark.parametrize("shown", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer ", f"Bearer {TOKEN}x", "Bearer é"])
async def test_with_a_token_nothing_changes_without_it(served: Fake, shown: str | None) -> None:
    headers = {**JSON, **({"authorization": shown} if shown else {})}
    async with serving(served, token=Secret(TOKEN)) as ask:
        assert (await ask("GET", "/forks"))[0] == 200
        status, _, response = await ask("POST", "/forks/replay/pause", headers=headers)
        assert (status, response.headers["www-authenticate"]) == (401, "Bearer")
        assert served.asked == []
        assert (await ask("POST", "/forks/replay/pause", headers=WITH_TOKEN))[0] == 200
    assert served.asked == [("replay", True)]


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_nothing_changes_where_others_can_listen_in(served: Fake, token: str | None) -> None:
    async with serving(served, host="0.0.0.0", token=None if token is None else Secret(token)) as ask:  # noqa: S104
        local = Caller(ask.url.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
        assert (await local("GET", "/forks"))[0] == 200
        for authorization in ({}, {"authorization": "Bearer "}):
            status, body, _ = await local("POST", "/forks/replay/pause", headers={**JSON, **authorization})
            assert status == 403
            assert "admin.token" in body["error"]
            elsewhere = {"host": "forkstream.example", **authorization}
            assert (await local("GET", "/forks", headers=elsewhere))[0] == 421
    assert served.asked == []


async def test_with_a_token_others_may_change_it_too(served: Fake) -> None:
    async with serving(served, host="0.0.0.0", token=Secret(TOKEN)) as ask:  # noqa: S104
        local = Caller(ask.url.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
        assert (await local("POST", "/forks/replay/pause", headers=WITH_TOKEN))[0] == 200


@pytest.mark.parametrize("header", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "none"}])
async def test_a_browser_changes_nothing(served: Fake, header: dict[str, str]) -> None:
    async with serving(served) as ask:
        assert (await ask("POST", "/forks/replay/pause", headers={**JSON, **header}))[0] == 403
        assert (await ask("OPTIONS", "/forks/replay/pause", headers={**JSON, **header}))[0] == 403
        _, _, response = await ask("GET", "/forks", headers=header)
        assert not any(name.lower().startswith("access-control-") for name in response.headers)
    assert served.asked == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_changes_nothing(served: Fake, content_type: str) -> None:
    async with serving(served) as ask:
        headers = {"content-type": content_type}
        assert (await ask("POST", "/switches/checkout-bug", data='{"on": true}', headers=headers))[0] == 415
    assert served.asked == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8080", 421),
        ("10.1.2.3:8080", 421),
        ("[", 421),
        ("", 421),
    ],
)
async def test_a_name_that_was_made_to_point_here_is_refused(served: Fake, host: str, status: int) -> None:
    async with serving(served) as ask:
        assert (await ask("GET", "/forks", headers={"host": host}))[0] == status


async def test_an_open_address_answers_to_any_address_and_to_a_name_only_with_the_token(served: Fake) -> None:
    async with serving(served, host="0.0.0.0", token=Secret(TOKEN)) as ask:  # noqa: S104
        local = Caller(ask.url.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
        assert (await local("GET", "/metrics", headers={"host": "10.1.2.3:8080"}))[0] == 200
        assert (await local("GET", "/metrics", headers={"host": "forkstream.example"}))[0] == 421
        assert (await local("GET", "/metrics", headers={**WITH_TOKEN, "host": "forkstream.example"}))[0] == 200


# Where it listens.


async def test_a_unix_socket_is_its_users_alone_and_gone_at_the_end(served: Fake, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))  # what a killed process leaves behind
    async with serving(served, socket=str(path)) as ask:
        assert ask.url == f"unix:{path}"
        assert stat.S_IMODE(mode_of(path)) == 0o600
        assert (await ask("POST", "/forks/replay/pause", json={}))[0] == 200
    with pytest.raises(FileNotFoundError):
        mode_of(path)


def mode_of(path: Path) -> int:
    return path.stat().st_mode


async def test_an_address_in_use_says_so_and_leaves_nothing_open(served: Fake, tmp_path: Path) -> None:
    async with serving(served) as ask:
        port = int(ask.url.rpartition(":")[2])
        with pytest.raises(CommandError, match=f"cannot listen on port {port} of 127.0.0.1: Address already in use"):
            await Admin(AdminSettings(port=port), served).__aenter__()
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot listen on the socket"):
        await Admin(AdminSettings(socket=str(tmp_path / "file")), served).__aenter__()
    assert (tmp_path / "file").is_file()


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_the_ipv6_loopback_is_this_machine_too(served: Fake) -> None:
    async with serving(served, host="::1") as ask:
        assert ask.url.startswith("http://[::1]:")
        assert (await ask("POST", "/forks/replay/pause", json={}))[0] == 200


# Callers that hold it up.


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_bytes_that_are_no_text_are_no_token(served: Fake) -> None:
    async with serving(served, token=Secret(TOKEN)) as ask, connected(ask.url) as (reader, writer):
        writer.write(b"POST /forks/replay/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xe9\xff\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"


async def test_a_body_is_of_4_kib_at_most(served: Fake) -> None:
    async with serving(served) as ask:
        assert (await ask("POST", "/forks/replay/pause", data=b" " * 4096, headers=JSON))[0] == 200
        assert (await ask("POST", "/forks/replay/pause", data=b" " * 4097, headers=JSON))[0] == 413
    assert served.asked == [("replay", True)]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /forks/replay/pause HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["nothing", "headers", "body"],
)
async def test_a_caller_that_does_not_finish_is_hung_up_on(
    served: Fake, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    async with serving(served) as ask, connected(ask.url) as (reader, writer):
        writer.write(sent)
        with anyio.fail_after(60):
            answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    assert served.asked == []


async def test_a_caller_that_does_not_read_is_hung_up_on(served: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(module, "INDEX", "x" * 50_000_000)
    async with Admin(AdminSettings(port=0), served) as admin, connected(admin.url) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server = admin._runner.server
        assert server
        with anyio.fail_after(60):
            while not server.requests_count or server.connections:
                await anyio.sleep(0.01)
        assert (await Caller(admin.url)("GET", "/health"))[0] == 200


async def test_closing_waits_for_nobody(served: Fake) -> None:
    admin = await Admin(AdminSettings(port=0), served).__aenter__()
    async with aiohttp.ClientSession() as session, connected(admin.url) as (_, writer):
        writer.write(b"POST /forks/replay/pause HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        async with session.get(f"{admin.url}/health") as response:  # and its connection is kept
            await response.read()
        with anyio.fail_after(30):
            await admin.__aexit__(None, None, None)
