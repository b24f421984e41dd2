"""``--ecs CLUSTER/SERVICE``: every task of a service is told, each by its own endpoint, and one that was not is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from forkstream.admin import Admin
from forkstream.aws.ecs_service import EcsService, EcsTask
from forkstream.config.model import AdminSettings
from forkstream.demo.embedded_aws import free_port
from forkstream.errors import TransientError, UnavailableError
from forkstream.settings import AwsSettings, Secret
from tests.cli_kit import run
from tests.integration.test_pause_and_resume import Fake
from tests.servers.fake_ecs import CLUSTER, SERVICE, FakeEcs, fake_ecs

TOKEN = "correct"
ECS = f"{CLUSTER}/{SERVICE}"
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def ecs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEcs]:
    monkeypatch.chdir(tmp_path)
    with fake_ecs() as running:
        for name, value in {
            "AWS_ENDPOINT_URL_ECS": running.url, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "FORKSTREAM_ADMIN_TOKEN": TOKEN,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield running


@asynccontextmanager
async def serving(port: int, **by_address: Fake) -> AsyncIterator[None]:
    with capture_logs():
        async with AsyncExitStack() as stack:
            for name, served in by_address.items():
                settings = AdminSettings(host={"first": FIRST, "second": SECOND}[name], port=port, token=Secret(TOKEN))
                await stack.enter_async_context(Admin(settings, served))
            yield


async def command(*arguments: str) -> int:
    """Run a command beside the loop that answers it."""
    return await anyio.to_thread.run_sync(run, *arguments)


async def test_every_task_is_told(ecs: FakeEcs, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, port = Fake(), Fake(), free_port()
    ecs.tasks = {"aaa": FIRST, "bbb": SECOND}
    async with serving(port, first=first, second=second):
        assert await command("pause", "replay", "search", "--ecs", f"{ECS}:{port}") == 0
        told = capsys.readouterr().out
        assert await command("resume", "replay", "--ecs", f"{ECS}:{port}", "--json") == 0
    assert told.splitlines()[0] == "replay, search: paused"
    assert told.splitlines()[1] == f"told all 2 tasks of {ECS}:{port}: this process only, until it ends"
    assert json.loads(capsys.readouterr().out)["paused"] == {"replay": False}
    assert first.asked == second.asked == [("replay", True), ("search", True), ("replay", False)]


async def test_a_task_that_was_not_told_is_named_and_the_others_are_told(
    ecs: FakeEcs, capsys: pytest.CaptureFixture[str]
) -> None:
    first, port = Fake(), free_port()
    ecs.tasks = {"aaa": SECOND, "bbb": FIRST, "ccc": None, "ddd": "127.0.0.9"}
    ecs.ended = {"ddd"}
    async with serving(port, first=first):
        assert await command("pause", "replay", "--ecs", f"{ECS}:{port}") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"told 1 of 3 tasks of {ECS}:{port}; not told, so ask again:"
    assert lines[1].startswith(f"  aaa: no answer from http://{SECOND}:{port}: Connection refused")
    assert lines[2:] == ["  ccc: has no address (PENDING)"]
    assert first.asked == [("replay", True)]


async def test_each_task_demands_the_token(ecs: FakeEcs, capsys: pytest.CaptureFixture[str]) -> None:
    first, port = Fake(), free_port()
    ecs.tasks = {"aaa": FIRST}
    async with serving(port, first=first):
        assert await command("pause", "replay", "--ecs", f"{ECS}:{port}", "--token", "wrong") == 2
    assert "aaa: http://127.0.0.2" in capsys.readouterr().err
    assert first.asked == []


async def test_a_service_of_many_tasks_is_listed_page_by_page(ecs: FakeEcs) -> None:
    ecs.tasks = {f"task{number}": f"10.0.0.{number}" for number in range(5)}
    tasks = await EcsService(CLUSTER, SERVICE).tasks(AwsSettings())
    assert tasks == [EcsTask(f"task{number}", "RUNNING", f"10.0.0.{number}") for number in range(5)]
    assert ecs.asked == ["ListTasks"] * 3 + ["DescribeTasks"]


def test_a_service_without_tasks_is_told(ecs: FakeEcs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pause", "replay", "--ecs", ECS) == 2
    assert capsys.readouterr().err == f"{ECS} has no task that is meant to run\n"


async def test_a_service_that_does_not_exist_is_missing(ecs: FakeEcs) -> None:
    with pytest.raises(UnavailableError, match="missing") as caught:
        await EcsService("nowhere", SERVICE).tasks(AwsSettings())
    assert caught.value.detail == "nowhere/orders: no such service in eu-west-1"


async def test_what_may_not_be_looked_at_names_the_permission(ecs: FakeEcs) -> None:
    ecs.refusal = 400, "AccessDeniedException"
    with pytest.raises(UnavailableError, match="denied") as caught:
        await EcsService(CLUSTER, SERVICE).tasks(AwsSettings())
    assert caught.value.detail.startswith("ecs:ListTasks on production/orders")
    ecs.refusal = 500, "ServerException"
    with pytest.raises(TransientError):
        await EcsService(CLUSTER, SERVICE).tasks(AwsSettings())


@pytest.mark.parametrize("text", ["orders", "a/b/c", "production/orders:0", "production/orders:99999", "/orders", ""])
def test_what_is_no_service_is_refused(ecs: FakeEcs, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(ValueError, match="expected CLUSTER/SERVICE"):
        EcsService.parse(text)
    if text:
        assert run("pause", "replay", "--ecs", text) == 2
        assert "expected CLUSTER/SERVICE" in capsys.readouterr().err
    assert ecs.asked == []


def test_one_place_is_asked_at_a_time(ecs: FakeEcs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pause", "replay", "--ecs", ECS, "--admin", "http://127.0.0.1:1") == 2
    assert run("pause", "replay", "other.yaml", "--ecs", ECS) == 2
    assert capsys.readouterr().err.count("leave out --admin and the config") == 2
    assert ecs.asked == []


async def test_top_shows_every_task_and_the_one_without_an_answer(
    ecs: FakeEcs, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    ecs.tasks = {"aaa": FIRST, "bbb": SECOND, "ccc": None}
    async with serving(port, first=Fake(), second=Fake()):
        assert await command("top", "--ecs", f"{ECS}:{port}", "--json", "--interval", "0.2") == 0
    first, second, third = json.loads(capsys.readouterr().out)["services"]
    assert [fork["name"] for fork in first["forks"]] == [fork["name"] for fork in second["forks"]]
    assert (first["name"], second["name"], third) == (
        "aaa",
        "bbb",
        {"name": "ccc", "error": "has no address (PENDING)"},
    )
