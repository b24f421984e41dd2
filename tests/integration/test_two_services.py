"""Two services of several forks, as two tasks of one deployment: what is asked of one reaches both, and outlives both."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from forkstream.cli.admin_client import AdminClient
from forkstream.demo.embedded_aws import EmbeddedAws
from tests.cli_kit import run
from tests.faults.service_process import ServiceProcess, wait_until
from tests.faults.site import Queue, Site, numbered

TOKEN = "correct"
FORKS = ("orders", "refunds", "returns")


class Task:
    """One service and where its endpoint is."""

    def __init__(self, service: ServiceProcess, url: str) -> None:
        self.service = service
        self.url = url

    def states(self) -> dict[str, str]:
        _, body = AdminClient(self.url).ask("GET", "/forks")
        return {fork["name"]: fork["state"] for fork in json.loads(body)["forks"]}


@pytest.fixture
def site(aws: EmbeddedAws, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("FORKSTREAM_ADMIN_TOKEN", raising=False)
    return Site(aws, unique, tmp_path, None)


@pytest.fixture
def queues(site: Site) -> dict[str, Queue]:
    return {name: site.queue(name) for fork in FORKS for name in (fork, f"{fork}-out")}


@pytest.fixture
def config(site: Site) -> Callable[[str], Path]:
    def written(task: str, **admin: str) -> Path:
        directory = site.directory / task
        directory.mkdir(exist_ok=True)
        forks = {
            fork: {
                "source": {"sqs": {"queue": f"{site.name}-{fork}", "envelope": "raw"}},
                "sink": {"sqs": {"queue": f"{site.name}-{fork}-out"}},
            }
            for fork in FORKS
        }
        content = {
            "forks": forks,
            "aws": {"region": site.aws.region},
            "control": f"file:{site.directory}/control.json",
            "admin": {"port": 0, "token": TOKEN} | admin,
            "log": {"format": "json"},
        }
        path = directory / "forkstream.yaml"
        path.write_text(json.dumps(content))
        return path

    return written


@contextmanager
def task(config: Path) -> Iterator[Task]:
    """Run a service for the block; then it is drained. Not ``serving``: that asks no unix socket."""
    service = ServiceProcess(config, environment={"FORKSTREAM_STOP_TIMEOUT": "12s"})
    try:
        wait_until(lambda: service.says("started") or not service.running, 60, service.logged)
        line = next(line for line in service.logged().splitlines() if '"event":"serving"' in line)
        yield Task(service, json.loads(line)["url"])
    finally:
        service.signal()
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(40)
        service.kill()


def top(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run("top", "--json", "--interval", "0.2", *arguments) == 0
    return json.loads(capsys.readouterr().out)["services"]


def test_pausing_in_one_place_pauses_both_and_survives_a_restart(
    site: Site, queues: dict[str, Queue], config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    socket = str(site.directory / "admin.sock")
    with ExitStack() as running:
        first = running.enter_context(task(config("first")))
        with task(config("second", socket=socket)) as second:
            assert second.url == f"unix:{socket}"
            seen = top(capsys, "--url", first.url, "--url", second.url)
            assert [service["name"] for service in seen] == [first.url, second.url]
            assert [{fork["name"]: fork["state"] for fork in service["forks"]} for service in seen] == [
                dict.fromkeys(FORKS, "open")
            ] * 2

            for url in (first.url, second.url):  # nobody without the token
                assert run("pause", "orders", "--admin", url) == 2
                assert "Bearer TOKEN" in capsys.readouterr().err
            assert not (site.directory / "control.json").exists()

            assert run("pause", "orders", "--admin", second.url, "--token", TOKEN) == 0
            assert "every task follows it, and it survives a restart" in capsys.readouterr().out
            alone = {"orders": "paused", "refunds": "open", "returns": "open"}
            wait_until(lambda: first.states() == second.states() == alone, 30)

            for fork in FORKS:
                queues[fork].send(numbered(range(20)))
            wait_until(lambda: queues["refunds-out"].visible == queues["returns-out"].visible == 20, 30)
            assert queues["orders-out"].left == 0
        with task(config("second", socket=socket)) as second:
            assert second.states()["orders"] == "paused"
            wait_until(lambda: lags(capsys, "--url", second.url) == {20}, 30)  # the first one asks once a minute
            both = ["--url", first.url, "--url", second.url]
            assert run("resume", "orders", str(site.directory / "first" / "forkstream.yaml")) == 0
            wait_until(lambda: queues["orders-out"].visible == 20, 30)
            wait_until(lambda: first.states() == second.states() == dict.fromkeys(FORKS, "open"), 30)
            capsys.readouterr()
            assert run("top", "--interval", "0.2", *both) == 0
            table = capsys.readouterr().out
            assert "2 services, 2 answering, 2 ready" in table
            assert all(fork in table for fork in FORKS)


def lags(capsys: pytest.CaptureFixture[str], *urls: str) -> set[int | None]:
    services = top(capsys, *urls)
    return {fork["lag"] for service in services for fork in service["forks"] if fork["name"] == "orders"}


def test_what_cannot_be_reached_is_named_and_the_others_are_shown(
    site: Site, queues: dict[str, Queue], config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"unix:{site.directory}/nobody.sock"
    with task(config("first")) as first:
        shown = top(capsys, "--url", gone, "--url", first.url)
        assert shown[0] == {"name": gone, "error": f"no answer from {gone}: No such file or directory"}
        assert [fork["name"] for fork in shown[1]["forks"]] == list(FORKS)
        assert {fork["rates"]["received"] for fork in shown[1]["forks"]} == {0}
    assert run("top", "--once", "--interval", "0.2", "--url", gone) == 1
    assert "1 service, 0 answering, 0 ready" in capsys.readouterr().out


def test_the_limits_of_the_endpoint_hold_for_a_running_service(
    queues: dict[str, Queue], config: Callable[..., Path]
) -> None:
    with task(config("first")) as first:
        for headers, body, status in (
            ({}, b"", 401),
            ({"Authorization": "Bearer wrong"}, b"", 401),
            ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://127.0.0.1"}, b"", 403),
            ({"Authorization": f"Bearer {TOKEN}"}, b"x" * 5000, 413),
            ({"Host": "evil.example"}, b"", 421),
        ):
            told = {"Content-Type": "application/json"} | headers
            request = urllib.request.Request(f"{first.url}/forks/orders/pause", body, told, method="POST")  # noqa: S310
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=10)  # noqa: S310  # of our own
            refused.value.close()
            assert refused.value.code == status
        assert first.states() == dict.fromkeys(FORKS, "open")
