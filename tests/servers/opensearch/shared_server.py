"""One OpenSearch for all test processes of a run: started by the first that needs it, gone with the last that holds it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.opensearch.installation import Installation, InstallationError

_START_SECONDS = 90
"""It takes 3 s alone, and several times that beside busy test processes."""


@contextmanager
def shared_server(directory: Path, *settings: str) -> Iterator[str]:
    """Give the URL of the server that lives in ``directory``, common to all processes that name the same one.

    The server's standard input is a named pipe of which each of those processes holds the writing end. When the last
    of them has closed it, or was killed, the server reads the end and exits: there is no count that could go wrong.
    """
    installation = Installation()
    directory.mkdir(parents=True, exist_ok=True)
    pipe, log = directory / "alive", directory / "log"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writing = _held(pipe)
        if writing is None:
            writing = _started(installation.command(0, directory / "home", *settings, exit_with_stdin=True), pipe, log)
        try:
            url = _url(log, writing)
        except BaseException:
            os.close(writing)
            raise
    try:
        yield url
    finally:
        os.close(writing)


def _held(pipe: Path) -> int | None:
    """Open the writing end of a running server's pipe; None if nobody reads from it, so that there is no server."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def _started(command: list[str], pipe: Path, log: Path) -> int:
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # without it, opening would wait for the other end
    writing = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reading, True)
    # not subprocess: that would warn of a child which its parent leaves running, as this one may
    os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,  # a Ctrl-C is for the tests; the server ends when they have
    )
    os.close(reading)
    return writing


def _url(log: Path, writing: int) -> str:
    """Wait for the server's line with its address; raises InstallationError if it ends before, or takes too long."""
    pipe = select.poll()
    pipe.register(writing, 0)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if log.exists() and (ready := re.search(r"^ready on (http://\S+)$", log.read_text(), re.MULTILINE)):
            return ready[1]
        if pipe.poll(50):  # nobody reads any more; the wait is part of it
            break
    raise InstallationError(
        f"OpenSearch did not start within {_START_SECONDS} s; its log is {log}:\n{log.read_text()[-2000:]}"
    )
