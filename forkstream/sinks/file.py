"""A sink that puts objects into a directory: a backup without a cloud, and dead letters that one can look at."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

import anyio
import anyio.to_thread
from msgspec import Meta

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import Advice, BatchDefaults, Context, ObjectSink, Payload, Surroundings
from forkstream.sinks.at_rest import in_the_clear
from forkstream.sinks.prefix import Prefix, PrefixSettings

_THREADS = 4
_MENDABLE = {
    "disk_full": (errno.ENOSPC, errno.EDQUOT),
    "denied": (errno.EACCES, errno.EPERM, errno.EROFS),
    "directory_unusable": (
        errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.EXDEV, errno.ENOTSUP, errno.ENODEV,
        errno.ESTALE,
    ),
}  # fmt: skip
"""Errors that somebody has to mend: space, rights, a mount that is gone, a file where a directory should be."""


class FileConfig(PrefixSettings):
    """Where the files go."""

    directory: Annotated[str, Meta(description="the directory, made if it is missing; ~ is the home", min_length=1)]


class FileSink(ObjectSink[FileConfig]):
    """Puts each object into a file below ``directory``, named by its key; slashes in the key are directories.

    A file appears whole or not at all: it is written under a hidden name (``.….tmp``), flushed to the disk and then
    linked to its own, which fails rather than replace a file, and the directories are flushed too. After a crash a
    hidden file can be left, never a torn one. The file system has to know hard links. An object's metadata has no
    place in a file and is left out.
    """

    batch_defaults = BatchDefaults(max_age=60.0)

    def __init__(self, config: FileConfig, context: Context) -> None:
        super().__init__(config, context)
        self._directory = Path(config.directory).expanduser().absolute()
        self._prefix = Prefix(config)
        self._threads: anyio.CapacityLimiter

    async def __aenter__(self) -> Self:
        self._threads = anyio.CapacityLimiter(_THREADS)
        return self

    def partition(self, event: Event) -> str:
        """Render the prefix for this event."""
        return self._prefix(event)

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:  # noqa: ARG002  # every attempt compares
        """Store the payload in the file that ``key`` names; done when the disk has it."""
        store = partial(self._store, self._path(key), payload.data)
        # given up, the thread goes on: whether it then finishes or not, the next attempt finds a whole file or none
        await anyio.to_thread.run_sync(store, limiter=self._threads, abandon_on_cancel=True)

    async def check(self) -> None:
        """Write a few bytes into the directory, or the nearest that exists above it, and remove them again."""
        await anyio.to_thread.run_sync(self._probe, limiter=self._threads, abandon_on_cancel=True)

    async def advise(self, fork: Surroundings) -> Collection[Advice]:
        found = f"files below {self._directory} are as readable as the directory is"
        return [*in_the_clear(fork, found=found, do="add the stage encrypt")]

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts or "\0" in key:
            raise PermanentError("key_escapes", f"the key {key!r} is no path below the directory")
        return self._directory.joinpath(*parts)

    def _store(self, path: Path, data: bytes) -> None:
        with _translating(f"writing below {self._directory}"):
            missing = takewhile(lambda directory: not directory.exists(), path.parents)
            changed = {directory.parent for directory in missing}
            path.parent.mkdir(parents=True, exist_ok=True)
            hidden = path.with_name(f".{secrets.token_hex(8)}.tmp")
            try:
                _write(hidden, data)
                try:
                    os.link(hidden, path)
                except FileExistsError:
                    if path.read_bytes() != data:
                        raise PermanentError("key_taken", f"another file is already at {path}") from None
            finally:
                hidden.unlink(missing_ok=True)
            # also what another thread may just have made and not flushed yet
            changed.update(takewhile(lambda directory: directory != self._directory.parent, path.parents))
            for directory in changed:
                _flush(directory)

    def _probe(self) -> None:
        with _translating(f"writing below {self._directory}"):
            directory = self._directory.absolute()
            while not directory.exists():
                directory = directory.parent
            hidden = directory / f".{secrets.token_hex(8)}.tmp"
            try:
                _write(hidden, b"forkstream can write here\n")
            finally:
                hidden.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    """Make a directory's listing durable: without it a crash can forget a file whose content is on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translating(doing: str) -> Iterator[None]:
    """Turn an error of the operating system into one of the three kinds; ``doing`` names no key, which can hold values."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        detail = f"{doing}: {os.strerror(number)}"
        if number == errno.ENAMETOOLONG:
            raise PermanentError("key_too_long", detail) from None
        for code, numbers in _MENDABLE.items():
            if number in numbers:
                raise UnavailableError(code, detail) from None
        raise TransientError("os_error", detail) from None
