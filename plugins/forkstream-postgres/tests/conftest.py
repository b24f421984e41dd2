"""A PostgreSQL server of the tests' own, and a schema for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]

_USER = "postgres"
"""Debian's package makes this account; the server refuses to run as root."""


class Server:
    """One server on a free port of 127.0.0.1, its files in a directory that goes with it."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._data = directory / "data"
        self._as: dict[str, Any] = {"cwd": directory}
        if os.getuid() == 0:
            self._as |= {"user": _USER, "group": _USER, "extra_groups": []}
            shutil.chown(directory, _USER, _USER)
        self.port = _free_port()
        self._run("initdb", "--auth=trust", "--no-sync", "--username=test", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        # nothing here outlives the tests, so nothing has to reach the disk
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--log", str(self._data / "log"), "-o", settings)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    @property
    def dsn(self) -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        # pg_ctl's server inherits what it gets, so no pipe to wait on
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=output, timeout=60, check=False, **self._as)
            output.seek(0)
            assert done.returncode == 0, output.read().decode()


def _programs() -> Path | None:
    """Where Debian and others keep the server's programs, the newest version's first."""
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    return next(
        (path for path in [*kept, *([Path(found).parent] if found else [])] if (path / "initdb").exists()), None
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    programs = _programs()
    if programs is None:
        reason = "there is no PostgreSQL server here: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="forkstream-postgres-") as directory:
        server = Server(programs, Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def dsn(server: Server) -> str:
    """Where a schema of this test's own is the one that is searched, with the table ``orders``."""
    schema = f"test_{uuid.uuid4().hex}"
    _ask(
        server.dsn,
        f"CREATE SCHEMA {schema} CREATE TABLE orders (id bigint PRIMARY KEY, version bigint, amount numeric(12,2),"
        " note text, document jsonb, CHECK (amount >= 0))",
    )
    return f"{server.dsn}?search_path={schema}"


@pytest.fixture
def ask(dsn: str) -> Ask:
    """Ask the database as another client does."""
    return lambda sql: _ask(dsn, sql)


def _ask(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    async def asked() -> Sequence[asyncpg.Record]:
        session = await asyncpg.connect(dsn)
        try:
            return await session.fetch(sql)
        finally:
            await session.close()

    # in a thread, since tests with a loop of their own ask too
    with ThreadPoolExecutor(1) as thread:
        return [tuple(row) for row in thread.submit(lambda: asyncio.run(asked())).result()]
