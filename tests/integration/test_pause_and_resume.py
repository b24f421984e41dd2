"""``forkstream pause``, ``resume``, ``switch`` and ``health`` as an operator runs them, and the desired state in AWS."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from forkstream.admin import Admin
from forkstream.aws.parameter import Parameter
from forkstream.cli.admin_client import AdminClient, url_of
from forkstream.config.model import AdminSettings
from forkstream.control import Control, DesiredState, control_of
from forkstream.demo.embedded_aws import EmbeddedAws, free_port
from forkstream.errors import CommandError, TransientError, UnavailableError
from forkstream.flow.batcher import Limits
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.formats import Format
from forkstream.ports import Switches
from forkstream.service import Service
from forkstream.settings import AwsSettings, Secret
from forkstream.status import ForkStatus, ServiceStatus
from tests.cli_kit import run
from tests.kit import ScriptedSink, memory_source, until

if TYPE_CHECKING:
    from types_aiobotocore_ssm import SSMClient

# Nothing of the forks can be read here: neither their variables nor their plugins exist.
FORKS = """
forks:
  search: {source: {no-such-plugin: {queue: "${NO_SUCH_VARIABLE}"}}}
  replay: {nonsense: true}
log: {level: "${NO_SUCH_LEVEL}"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "DEBUG", "CONTROL", "ADMIN_TOKEN", "ADMIN__HOST", "ADMIN__PORT", "ADMIN__SOCKET"):
        monkeypatch.delenv(f"FORKSTREAM_{name}", raising=False)
    return tmp_path


def config(text: str, path: str = "forkstream.yaml") -> None:
    Path(path).write_text(FORKS + text)


def desired() -> Any:
    return json.loads(Path("control.json").read_text())


WITH_FILE = 'control: "file:control.json"\naws: {region: "${NO_SUCH_REGION}"}\nadmin: {token: "${NO_SUCH_TOKEN}"}'


# With a desired state.


def test_pause_and_resume_write_what_every_task_follows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(WITH_FILE)
    assert run("pause", "replay") == 0
    assert capsys.readouterr().out == (
        f"replay: paused\nwritten to file:{here}/control.json: every task follows it, and it survives a restart\n"
    )
    assert run("pause", "search") == 0
    assert run("resume", "replay") == 0
    assert capsys.readouterr().out.splitlines()[-2] == "replay: resumed"
    assert desired() == {"paused": {"replay": False, "search": True}, "switches": {}}


def test_several_forks_are_paused_at_once_and_the_config_may_follow_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("etc").mkdir()
    config(WITH_FILE, "etc/other.yaml")
    assert run("pause", "search", "replay", "etc/other.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["paused"] == {"search": True, "replay": True}
    assert desired()["paused"] == {"search": True, "replay": True}


def test_a_switch_is_turned_for_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    config(WITH_FILE)
    assert run("switch", "checkout-bug", "on") == 0
    assert capsys.readouterr().out.startswith("checkout-bug: on\nwritten to ")
    assert desired()["switches"] == {"checkout-bug": True}
    assert run("switch", "checkout-bug", "off", "forkstream.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["switches"] == {"checkout-bug": False}
    assert desired()["switches"] == {"checkout-bug": False}


READER = """
from forkstream import Event, EventSink, Settings

class Reader(EventSink[Settings]):
    switches = ("slow-motion",)

    def write(self, events):
        return ()
"""


def test_a_switch_that_nobody_reads_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("reader.py").write_text(READER)
    Path("forkstream.yaml").write_text(
        "forks: {orders: {source: memory, stages: [compress: {level: 1}], sink: blackhole, dead_letter: {sink: reader}}}\n"
        "control: file:control.json"
    )
    assert run("switch", "slow-motion", "on", "--plugin", "reader.py") == 0
    assert not capsys.readouterr().err
    assert run("switch", "slow-moton", "on", "--plugin", "reader.py") == 0
    assert capsys.readouterr().err == (
        "warning: no plugin of forkstream.yaml that is installed here reads slow-moton, did you mean slow-motion?; "
        "it reads slow-motion\n"
    )
    assert run("switch", "slow-motion", "on") == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: no plugin of forkstream.yaml that is installed here reads slow-motion; it reads none",
        "not to be asked here: sink reader (see `forkstream plugins list`)",
    ]


def test_the_environment_may_say_where_the_desired_state_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    config("")
    monkeypatch.setenv("FORKSTREAM_CONTROL", "file:control.json")
    assert run("pause", "replay") == 0
    assert desired()["paused"] == {"replay": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pause", "replya"], "forkstream.yaml has no fork 'replya', did you mean replay?; known: search, replay"),
        (["pause", "search", "x"], "forkstream.yaml has no fork 'x'; known: search, replay"),
        (["resume", "forkstream.yaml"], "name a fork before forkstream.yaml"),
        (["pause", "Replay", "forkstream.yaml"], "'Replay' is no name of a fork"),
        (["switch", "a b", "on"], "'a b' is no name of a switch"),
        (["pause", "replay", "none.yaml"], "none.yaml"),
        (["switch", "checkout-bug", "maybe"], "maybe"),
    ],
)
def test_a_slip_is_answered_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    config(WITH_FILE)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("control.json").exists()


@pytest.mark.parametrize("text", ["control: nowhere", "control: ${NO_SUCH_VARIABLE}", "- no mapping", "control: ["])
def test_a_config_that_cannot_be_read_says_where(capsys: pytest.CaptureFixture[str], text: str) -> None:
    Path("forkstream.yaml").write_text(text)
    assert run("switch", "checkout-bug", "on") == 2
    assert "forkstream.yaml:1" in capsys.readouterr().err


def test_a_broken_desired_state_is_told_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    config(WITH_FILE)
    Path("control.json").write_text("{")
    assert run("pause", "replay") == 1
    assert "control_broken" in capsys.readouterr().err
    assert Path("control.json").read_text() == "{"


@asynccontextmanager
async def a_task(switches: Switches) -> AsyncIterator[Service]:
    """One of the tasks that run the same config; it drains at the end."""
    control = control_of("file:control.json", AwsSettings())
    control._store.interval = 0.05
    flow = Flow(
        name="replay",
        source=memory_source(),
        outlet=Outlet(sink=ScriptedSink(), render=Format().render),
        limits=Limits(max_events=1, max_bytes=1, max_age=1, max_open=1),
        poll_wait=0.1,
    )
    service = Service([flow], control=control, switches=switches)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run)
        yield service
        service.stop()


async def test_every_task_follows_and_so_does_the_next_one() -> None:
    first, second = Switches(), Switches()
    config(WITH_FILE)
    with capture_logs():
        async with a_task(first) as here, a_task(second) as there:
            assert await command("pause", "replay") == 0
            assert await command("switch", "checkout-bug", "on") == 0
            await until(lambda: all(task.status().forks[0].state == "paused" for task in (here, there)), 20)
            await until(lambda: first("checkout-bug") and second("checkout-bug"), 20)
        async with a_task(Switches()) as restarted:
            await until(lambda: restarted.status().forks[0].state == "paused", 20)
            assert await command("resume", "replay") == 0
            await until(lambda: restarted.status().forks[0].state == "open", 20)


# Without one: the one process is told.


class Fake:
    """A service that remembers what it was asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.now = ServiceStatus(
            run="r1", version="0.1.0", healthy=True, ready=True, draining=False,
            forks=[ForkStatus(name="search", state="open"), ForkStatus(name="replay", state="paused")],
        )  # fmt: skip
        self.asked: list[tuple[str, bool]] = []
        self.error: Exception | None = None

    def status(self) -> ServiceStatus:
        return self.now

    async def pause(self, fork: str, paused: bool) -> str:
        if self.error:
            raise self.error
        self.asked.append((fork, paused))
        return "this process only, until it ends"

    async def switch(self, name: str, on: bool) -> str:
        self.asked.append((name, on))
        return "this process only, until it ends"


@asynccontextmanager
async def serving(served: Fake, **settings: Any) -> AsyncIterator[str]:
    with capture_logs():
        async with Admin(AdminSettings(**{"port": 0, **settings}), served) as admin:
            yield admin.url


async def command(*arguments: str) -> int:
    """Run a command beside the loop that answers it."""
    return await anyio.to_thread.run_sync(run, *arguments)


async def test_without_a_desired_state_the_one_process_is_told_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    served, port = Fake(), free_port()
    config(f"admin: {{port: {port}}}")
    async with serving(served, port=port):
        assert await command("resume", "replay", "search") == 0
        assert capsys.readouterr().out == (
            f"replay, search: resumed\ntold http://127.0.0.1:{port}: this process only, until it ends\n"
        )
        assert await command("switch", "checkout-bug", "on", "--json") == 0
        assert "this process only" in json.loads(capsys.readouterr().out)["reach"]
    assert served.asked == [("replay", False), ("search", False), ("checkout-bug", True)]


async def test_a_process_named_by_hand_needs_no_config(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = Fake()
    async with serving(served, socket=str(here / "admin.sock")) as url:
        assert await command("pause", "replay", "--admin", url) == 0
        assert await command("pause", "replya", "--admin", url) == 2
    assert "did you mean replay?" in capsys.readouterr().err
    assert served.asked == [("replay", True)]


async def test_the_token_comes_from_the_option_the_environment_or_the_config(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, port = Fake(), free_port()
    config(f"admin: {{port: {port}, token: correct}}")
    async with serving(served, port=port, token=Secret("correct")) as url:
        assert await command("pause", "replay") == 0
        assert await command("pause", "replay", "--admin", url) == 2
        assert capsys.readouterr().err == (
            f"{url} refuses: changing anything needs `authorization: Bearer TOKEN`; "
            "name it with --token or FORKSTREAM_ADMIN_TOKEN\n"
        )
        assert await command("pause", "replay", "--admin", url, "--token", "correct") == 0
        monkeypatch.setenv("FORKSTREAM_ADMIN_TOKEN", "correct\n")
        assert await command("pause", "replay", "--admin", f"{url}/") == 0
        assert await command("pause", "replay", "--token", "wrong") == 2
    assert len(served.asked) == 3


async def test_a_refusal_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    served = Fake()
    served.error = UnavailableError("denied", "ssm:PutParameter on /control")
    async with serving(served) as url:
        assert await command("pause", "replay", "--admin", url) == 2
    assert f"{url} refuses: denied ssm:PutParameter on /control" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("admin", "message"),
    [
        ("http://127.0.0.1:{port}", "no answer from http://127.0.0.1:{port}: Connection refused"),
        ("unix:/no/such/socket", "no answer from unix:/no/such/socket: No such file or directory"),
        ("https://127.0.0.1:1", "expected http://HOST:PORT or unix:/path"),
        ("localhost:8080", "expected http://HOST:PORT or unix:/path"),
        ("http://localhost", "expected http://HOST:PORT or unix:/path"),
    ],
)
def test_where_nobody_answers_that_is_said(capsys: pytest.CaptureFixture[str], admin: str, message: str) -> None:
    port = free_port()
    assert run("pause", "replay", "--admin", admin.format(port=port)) == 2
    assert message.format(port=port) in capsys.readouterr().err


def test_a_port_that_nobody_knows_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    config("admin: {port: 0}")
    assert run("pause", "replay") == 2
    assert "name the address with --admin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "path", "url"),
    [
        ("0.0.0.0", None, "http://127.0.0.1:80"),  # noqa: S104  # where a container listens
        ("::", None, "http://[::1]:80"),
        ("10.1.2.3", None, "http://10.1.2.3:80"),
        ("127.0.0.1", "/run/admin.sock", "unix:/run/admin.sock"),
    ],
)
def test_an_endpoint_is_asked_where_this_machine_reaches_it(host: str, path: str | None, url: str) -> None:
    assert url_of(host, 80, path) == url


# The health check.


async def test_health_says_whether_a_restart_helps(capsys: pytest.CaptureFixture[str]) -> None:
    served = Fake()
    async with serving(served) as url:
        assert await command("health", "--admin", url) == 0
        served.now = msgspec.structs.replace(
            served.now, healthy=False, forks=[ForkStatus(name="search", state="open", stalled=True)]
        )
        assert await command("health", "--admin", url) == 1
        served.now = msgspec.structs.replace(served.now, forks=[])
        assert await command("health", f"--admin={url}") == 1
    assert capsys.readouterr().out == "healthy\nunhealthy: search stalled\nunhealthy: the service itself\n"


async def test_health_finds_the_endpoint_as_the_environment_sets_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("FORKSTREAM_ADMIN__PORT", str(port))
    monkeypatch.setenv("FORKSTREAM_ADMIN__HOST", "0.0.0.0")  # noqa: S104  # as a container sets it
    assert await command("health") == 1
    async with serving(Fake(), port=port):
        assert await command("health") == 0
    monkeypatch.setenv("FORKSTREAM_ADMIN__SOCKET", str(here / "admin.sock"))
    async with serving(Fake(), socket=str(here / "admin.sock")):
        assert await command("health") == 0
    monkeypatch.setenv("FORKSTREAM_ADMIN__PORT", "http")
    assert await command("health") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"no answer from http://127.0.0.1:{port}: Connection refused", "healthy", "healthy",
        "$FORKSTREAM_ADMIN__PORT: expected a port, found 'http'",
    ]  # fmt: skip


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Something else that listens: it takes one connection, sends this, and hangs up only if it sent anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections: list[socket.socket] = []

        def serve() -> None:
            connection, _ = listener.accept()
            connections.append(connection)
            connection.recv(4096)
            if answer:
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no admin endpoint"),
        (b"HTTP/1.1 \r\n\r\n", "no admin endpoint"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>", "unhealthy: HTTP 502"),
        (b"HTTP/1.0 503 No\r\n\r\n{}", "unhealthy: HTTP 503"),
    ],
)
def test_whoever_else_answers_is_not_healthy(capsys: pytest.CaptureFixture[str], answer: bytes, text: str) -> None:
    with answering(answer) as url:
        assert run("health", "--admin", url) == 1
    assert text in capsys.readouterr().out


def test_whoever_else_answers_to_a_wish_refuses_it(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>") as url:
        assert run("pause", "replay", "--admin", url) == 2
    assert f"{url} refuses: HTTP 502" in capsys.readouterr().err


def test_a_service_that_hangs_is_not_waited_for() -> None:
    with answering(b"") as url, pytest.raises(CommandError, match=r"no answer from .* within 0\.05 s"):
        AdminClient(url, timeout=0.05).ask("GET", "/health")


@pytest.mark.parametrize("arguments", [[], ["--admin", "unix:/no/such/socket"]])
def test_the_health_check_starts_without_what_the_service_needs(arguments: list[str], here: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "forkstream", "health", *arguments]
    environment = {**os.environ, "FORKSTREAM_ADMIN__SOCKET": "/no/such/socket"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout) == (1, "no answer from unix:/no/such/socket: No such file or directory\n")
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "forkstream.cli.pulse" in imported
    assert not {"typer", "rich", "aiohttp", "yaml", "structlog", "http.client", "ssl", "asyncio"} & imported


# The desired state in AWS.


@pytest.fixture
def ssm(aws: EmbeddedAws) -> Any:
    return boto3.client("ssm", endpoint_url=aws.endpoint_url, region_name=aws.region)


@pytest.fixture
def name(unique: str) -> str:
    return f"/forkstream/{unique}/control"


def stored(ssm: Any, name: str) -> Any:
    return json.loads(ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


async def test_the_desired_state_lies_in_a_parameter(ssm: Any, name: str) -> None:
    control = control_of(f"ssm:{name}", AwsSettings())
    assert control.url == f"ssm:{name}"
    assert await control.read() == DesiredState()
    await control.change(lambda desired: desired.with_paused("replay", True))
    await control.change(lambda desired: desired.with_switch("checkout-bug", True))
    assert await control.read() == DesiredState(paused={"replay": True}, switches={"checkout-bug": True})
    assert stored(ssm, name) == {"paused": {"replay": True}, "switches": {"checkout-bug": True}}


def test_an_operator_changes_the_parameter_that_the_config_names(ssm: Any, name: str) -> None:
    config(f"control: ssm:{name}")
    assert run("pause", "replay") == 0
    assert stored(ssm, name)["paused"] == {"replay": True}


async def test_a_secret_parameter_is_read_too(ssm: Any, name: str) -> None:
    ssm.put_parameter(Name=name, Value='{"paused": {"search": true}}', Type="SecureString")
    assert (await control_of(f"ssm:{name}", AwsSettings()).read()).paused == {"search": True}


class Raced(Parameter):
    """A parameter that others write just before we do.

    A version by its number is looked up in the history, since the embedded AWS lacks `name:version` of GetParameter.
    """

    def __init__(self, name: str, rivals: list[dict[str, bool]], ssm: Any) -> None:
        super().__init__(name, AwsSettings())
        self.rivals = rivals
        self.sync = ssm

    async def _get(self, ssm: SSMClient, name: str) -> tuple[int, bytes | None]:
        name, _, version = name.partition(":")
        if not version:
            return await super()._get(ssm, name)
        history = self.sync.get_parameter_history(Name=name)["Parameters"]
        return next((each["Version"], each["Value"].encode()) for each in history if each["Version"] == int(version))

    async def _put(self, ssm: SSMClient, content: bytes, *, create: bool) -> int:
        if self.rivals:
            value = json.dumps({"paused": self.rivals.pop(0)})
            self.sync.put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True)
        return await super()._put(ssm, content, create=create)


async def test_a_change_that_covered_another_is_made_again_on_top_of_it(ssm: Any, name: str) -> None:
    ssm.put_parameter(Name=name, Value='{"paused": {"old": true}}', Type="String")
    rivals = [{"old": True, "first": True}, {"old": True, "first": True, "second": True}]
    await Control(Raced(name, rivals, ssm)).change(lambda desired: desired.with_paused("ours", True))
    assert stored(ssm, name)["paused"] == {"old": True, "first": True, "second": True, "ours": True}


async def test_of_two_who_create_the_parameter_neither_is_lost(ssm: Any, name: str) -> None:
    await Control(Raced(name, [{"theirs": True}], ssm)).change(lambda desired: desired.with_paused("ours", True))
    assert stored(ssm, name)["paused"] == {"theirs": True, "ours": True}
    assert ssm.get_parameter(Name=name)["Parameter"]["Version"] == 2  # theirs was never covered


async def test_a_parameter_that_others_keep_changing_is_given_up_on(ssm: Any, name: str) -> None:
    ssm.put_parameter(Name=name, Value="{}", Type="String")
    with pytest.raises(TransientError, match="contended") as refused:
        await Control(Raced(name, [{}] * 5, ssm)).change(lambda desired: desired.with_paused("ours", True))
    assert name in refused.value.detail
