"""A small file that several processes read and change: whole or not at all, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio.to_thread import run_sync

from forkstream.errors import TransientError, UnavailableError

LOCK_SECONDS = 5.0
"""How long a change waits for another one of the same file."""


class SharedFile:
    """A document in a file. Each look reads it: so small, that costs less than what a look at its time of change misses.

    Raises UnavailableError where the file may not be read or written, TransientError where another writer hangs.
    """

    def __init__(self, path: Path, interval: float = 1.0) -> None:
        self._path = path.resolve()  # a link's target is replaced, never the link
        self.url = f"file:{self._path}"
        self.interval = interval

    async def read(self) -> bytes | None:
        """Read the document; None if there is no such file."""
        return await run_sync(self._read, abandon_on_cancel=True)

    async def update(self, edit: Callable[[bytes | None], bytes]) -> None:
        """Replace the document by what ``edit`` makes of it; missing directories are made."""
        await run_sync(self._update, edit)

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnavailableError("unreadable", f"{error.filename}: {error.strerror}") from None

    def _update(self, edit: Callable[[bytes | None], bytes]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._replace(edit(self._read()))
        except OSError as error:
            raise UnavailableError("unwritable", f"{error.filename}: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out by a lock on a file beside it, since the file itself is replaced."""
        beside = self._path.with_name(f".{self._path.name}.lock")
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _taken(lock):
                if time.monotonic() >= deadline:
                    raise TransientError("locked", f"{beside}: held by another process")
                time.sleep(0.02)
            yield
        finally:
            os.close(lock)  # which frees it, as the end of the process does

    def _replace(self, content: bytes) -> None:
        new = self._path.with_name(f".{self._path.name}.new")
        with new.open("wb") as file:
            if self._path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(self._path.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
