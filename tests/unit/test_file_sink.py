"""Objects as files: whole or not at all, never replaced, never outside the directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import Context, Payload
from forkstream.sinks.file import FileConfig, FileSink

PAYLOAD = Payload(b'{"id":1}\n', "application/x-ndjson", {"events": "1"})


def sink(directory: Path, prefix: str = "") -> FileSink:
    return FileSink(FileConfig(directory=str(directory), prefix=prefix), Context(fork="backup"))


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


async def put(directory: Path, key: str = "a/b/1.ndjson", payload: Payload = PAYLOAD, attempt: int = 1) -> None:
    async with sink(directory) as files:
        await files.put(key, payload, attempt=attempt)


async def test_an_object_is_a_file_named_by_its_key(tmp_path: Path) -> None:
    await put(tmp_path / "made" / "for-it")
    assert (tmp_path / "made/for-it/a/b/1.ndjson").read_bytes() == PAYLOAD.data
    assert files(tmp_path) == ["made/for-it/a/b/1.ndjson"]


async def test_the_prefix_names_directories(tmp_path: Path) -> None:
    event = Event(b'{"customer":{"id":"../x"}}', id="m", sent_at=0.0)
    assert sink(tmp_path, "dt=%Y/{customer.id}/").partition(event) == "dt=1970/..%2Fx/"


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/out", "", "a\0b"])
async def test_a_key_cannot_leave_the_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(PermanentError) as refused:
        await put(tmp_path / "in", key)
    assert refused.value.code == "key_escapes"
    assert files(tmp_path) == []


@pytest.mark.parametrize("attempt", [1, 2])
async def test_contract_7_the_same_object_found_there_is_done(tmp_path: Path, attempt: int) -> None:
    await put(tmp_path)
    await put(tmp_path, attempt=attempt)
    assert files(tmp_path) == ["a/b/1.ndjson"]


async def test_another_object_is_never_replaced(tmp_path: Path) -> None:
    await put(tmp_path)
    with pytest.raises(PermanentError) as refused:
        await put(tmp_path, payload=Payload(b"other", "text/plain"))
    assert refused.value.code == "key_taken"
    assert (tmp_path / "a/b/1.ndjson").read_bytes() == PAYLOAD.data
    assert files(tmp_path) == ["a/b/1.ndjson"]


async def test_data_and_directories_are_flushed_before_a_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    root = tmp_path / "root"
    await put(root)
    assert flushed[0].startswith(str(root / "a/b"))
    assert flushed[0].endswith(".tmp")
    assert set(flushed[1:]) == {str(tmp_path), str(root), str(root / "a"), str(root / "a/b")}


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, UnavailableError, "disk_full"),
        (errno.EDQUOT, UnavailableError, "disk_full"),
        (errno.EACCES, UnavailableError, "denied"),
        (errno.EROFS, UnavailableError, "denied"),
        (errno.ENOTSUP, UnavailableError, "directory_unusable"),
        (errno.EIO, TransientError, "os_error"),
        (errno.ENAMETOOLONG, PermanentError, "key_too_long"),
    ],
)
async def test_an_error_of_the_system_says_what_it_means_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[DeliveryError], code: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, "secret-key")

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(kind) as failed:
        await put(tmp_path)
    assert failed.value.code == code
    assert "secret-key" not in failed.value.detail
    assert files(tmp_path) == []


async def test_a_name_that_the_file_system_cannot_hold_blames_the_event(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as failed:
        await put(tmp_path, "x" * 300)
    assert failed.value.code == "key_too_long"


async def test_a_file_where_a_directory_should_be_halts_the_fork(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(UnavailableError):
        await put(tmp_path)


async def test_check_leaves_nothing_behind_and_makes_no_directory(tmp_path: Path) -> None:
    async with sink(tmp_path / "not" / "there") as backup:
        await backup.check()
    assert files(tmp_path) == []
    assert not (tmp_path / "not").exists()


async def test_check_finds_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with sink(tmp_path / "file") as backup:
        with pytest.raises(UnavailableError):
            await backup.check()
