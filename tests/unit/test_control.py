"""The desired state: changed by anyone, seen by everyone, and kept where it cannot be told."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from forkstream import shared_file
from forkstream.control import Control, DesiredState, control_of
from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.settings import AwsSettings
from forkstream.shared_file import SharedFile
from forkstream.testing.clock import run_on_fake_clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


def write(path: Path, content: str) -> None:
    """Whole or not at all, as a careful editor does."""
    new = path.with_name("new")
    new.write_text(content)
    new.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def written(path: Path) -> Any:
    return json.loads(path.read_text())


def control(path: Path) -> Control:
    return Control(SharedFile(path, interval=0.01))


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.005)


class Follower:
    """What somebody who follows has heard."""

    def __init__(self) -> None:
        self.states: list[DesiredState] = []
        self.errors: list[DeliveryError] = []

    @asynccontextmanager
    async def following(self, control: Control) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(control.follow, self.states.append, self.errors.append)
            await until(lambda: bool(self.states or self.errors))
            yield
            tasks.cancel_scope.cancel()


async def test_without_a_document_nothing_is_desired(path: Path) -> None:
    assert await control(path).read() == DesiredState()
    assert await control(path.parent / "no-directory" / "control.json").read() == DesiredState()


async def test_a_change_keeps_everything_else(path: Path) -> None:
    write(path, '{"paused": {"search": true}, "switches": {"checkout-bug": true}}')
    await control(path).change(lambda desired: desired.with_paused("replay", True))
    await control(path).change(lambda desired: desired.with_switch("checkout-bug", False))
    assert written(path) == {
        "paused": {"search": True, "replay": True},
        "switches": {"checkout-bug": False},
    }


async def test_the_first_change_makes_the_document_and_its_directory(tmp_path: Path) -> None:
    made = control_of(f"file:{tmp_path}/made/for-it/control.json", AwsSettings())
    await made.change(lambda desired: desired.with_paused("replay", False))
    assert (await made.read()).paused == {"replay": False}
    assert made.url == f"file:{tmp_path}/made/for-it/control.json"


def linked(path: Path) -> Path:
    target = path.with_name("elsewhere.json")
    target.write_text("{}")
    target.chmod(0o640)
    path.symlink_to(target)
    return target


async def test_a_change_leaves_the_documents_mode_and_its_link(path: Path) -> None:
    target = linked(path)
    await control(path).change(lambda desired: desired.with_paused("replay", True))
    assert target.stat().st_mode & 0o777 == 0o640
    assert written(target)["paused"] == {"replay": True}


async def test_changes_made_at_once_are_all_kept(path: Path) -> None:
    async def add(name: str) -> None:
        await control(path).change(lambda desired: desired.with_switch(name, True))

    async with anyio.create_task_group() as writers:  # each with a lock of its own, as processes would have
        for n in range(20):
            writers.start_soon(add, f"switch-{n}")
    assert len(written(path)["switches"]) == 20


async def test_a_writer_that_hangs_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_file, "LOCK_SECONDS", 0.05)
    lock = os.open(path.with_name(".control.json.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(TransientError, match="locked"):
            await control(path).change(lambda desired: desired.with_paused("replay", True))
    finally:
        os.close(lock)
    await control(path).change(lambda desired: desired.with_paused("replay", True))


@pytest.mark.parametrize(
    "content",
    ["", "paused: {}", "[]", '{"paused": {"replay": "yes"}}', '{"pause": {"replay": true}}', "[" * 100_000],
    ids=["empty", "yaml", "list", "text", "typo", "deep"],
)
async def test_a_broken_document_is_told_and_never_replaced(path: Path, content: str) -> None:
    write(path, content)
    for attempt in (control(path).read(), control(path).change(lambda desired: desired.with_paused("replay", True))):
        with pytest.raises(UnavailableError, match="control_broken") as refused:
            await attempt
        assert str(path) in refused.value.detail
        assert content_of(path) == content


def content_of(path: Path) -> str:
    return path.read_text()


async def test_a_document_that_may_not_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="unreadable") as refused:
        await control(tmp_path).read()
    assert refused.value.detail == f"{tmp_path}: Is a directory"
    with pytest.raises(UnavailableError, match="unwritable") as refused:
        await control(Path(__file__) / "control.json").change(lambda desired: desired)
    assert __file__ in refused.value.detail


async def test_a_follower_hears_the_state_at_once_and_then_every_change(path: Path) -> None:
    follower = Follower()
    async with follower.following(control(path)):
        await control(path).change(lambda desired: desired.with_paused("replay", True))
        await until(lambda: len(follower.states) == 2)
        await control(path).change(lambda desired: desired.with_paused("replay", True))
        await control(path).change(lambda desired: desired.with_switch("checkout-bug", True))
        await until(lambda: len(follower.states) == 3)
        remove(path)
        await until(lambda: len(follower.states) == 4)
    assert follower.states == [
        DesiredState(),
        DesiredState(paused={"replay": True}),
        DesiredState(paused={"replay": True}, switches={"checkout-bug": True}),
        DesiredState(),
    ]
    assert follower.errors == []


async def test_a_follower_keeps_the_last_state_while_the_document_is_broken(path: Path) -> None:
    write(path, '{"paused": {"replay": true}}')
    follower = Follower()
    async with follower.following(control(path)):
        write(path, "{")
        await until(lambda: bool(follower.errors))
        write(path, '{"paused": {"replay": false}}')
        await until(lambda: len(follower.states) == 2)
    assert [error.code for error in follower.errors] == ["control_broken"]
    assert [state.paused for state in follower.states] == [{"replay": True}, {"replay": False}]


class Scripted:
    """A store whose answers are known beforehand; the last one is given for ever."""

    url = "test:"
    interval = 15.0

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []

    async def read(self) -> bytes | None:
        self.asked_at.append(anyio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def update(self, edit: Callable[[bytes | None], bytes]) -> None:
        raise NotImplementedError


def test_trouble_is_reported_once_and_again_if_its_reason_changes() -> None:
    denied, throttled = UnavailableError("denied", "ssm:GetParameter on /c"), TransientError("throttled")
    store = Scripted(None, denied, denied, throttled, throttled, None, throttled, RuntimeError("a bug"), b"{}")
    follower = Follower()

    async def main() -> None:
        with anyio.move_on_after(200):
            await Control(store).follow(follower.states.append, follower.errors.append)

    run_on_fake_clock(main)
    assert [error.code for error in follower.errors] == [
        "denied", "throttled", "throttled", "unexpected_RuntimeError",
    ]  # fmt: skip
    assert follower.states == [DesiredState()]


def test_trouble_is_logged_where_nobody_asks_for_it_and_only_what_may_be_said() -> None:
    denied, throttled = UnavailableError("denied", "ssm:GetParameter on /c"), TransientError("throttled", "anything")

    async def main() -> None:
        with anyio.move_on_after(60):
            await Control(Scripted(denied, throttled)).follow(lambda _: None)

    with capture_logs() as lines:
        run_on_fake_clock(main)
    assert [(line["log_level"], line["code"], line["detail"]) for line in lines] == [
        ("warning", "denied", "ssm:GetParameter on /c"), ("warning", "throttled", None),
    ]  # fmt: skip


def test_looks_are_spread_so_that_many_workers_do_not_look_together() -> None:
    store = Scripted(None)

    async def main() -> None:
        with anyio.move_on_after(1000):
            await Control(store).follow(lambda _: None)

    run_on_fake_clock(main)
    waits = [later - earlier for earlier, later in zip(store.asked_at, store.asked_at[1:], strict=False)]
    assert all(7.5 <= wait <= 15.0 for wait in waits)
    assert max(waits) - min(waits) > 1
