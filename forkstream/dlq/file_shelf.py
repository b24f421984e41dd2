"""The files of a file sink."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from anyio.to_thread import run_sync

from forkstream.dlq.shelf import Listed, Shelf, fixed_start
from forkstream.errors import UnavailableError
from forkstream.sinks.file import FileSink


class FileShelf(Shelf):
    """Reads the directory of a file sink. One that is not there yet is empty."""

    def __init__(self, sink: FileSink) -> None:
        super().__init__(sink, fixed_start(sink.config.prefix))
        self._directory = Path(sink.config.directory).expanduser().absolute()

    @property
    def name(self) -> str:
        return str(self._directory / self.start)

    async def listed(self) -> AsyncIterator[Listed]:
        for found in await run_sync(lambda: list(self._walk())):
            yield found

    async def get(self, key: str) -> bytes:
        try:
            return await run_sync((self._directory / key).read_bytes)
        except OSError as error:
            raise UnavailableError("unreadable", f"{error.filename}: {error.strerror}") from None

    def _walk(self) -> Iterator[Listed]:
        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise UnavailableError("unreadable", f"{error.filename}: {error.strerror}")

        top = self._directory / self.start.rpartition("/")[0]
        for directory, _, names in os.walk(top, onerror=refuse):
            for name in names:
                path = Path(directory, name)
                key = path.relative_to(self._directory).as_posix()
                if key.startswith(self.start) and not name.startswith("."):  # hidden: a crash's leftovers
                    yield Listed(key, path.stat().st_mtime)
