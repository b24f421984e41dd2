"""The demo's temporary directory, and what is left of one that could not remove its own."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "forkstream-demo-"
_HELD = "held"
"""The file in it that whoever uses the directory has locked: the lock ends with its process, however that ends."""


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a directory for the block, and remove those that killed demos have left."""
    _tidy(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with (directory / _HELD).open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield directory


def _tidy(parent: Path) -> None:
    for directory in parent.glob(f"{_PREFIX}*"):
        # one that is in use is locked; another user's cannot be opened; one without the file may just be in the making
        with suppress(OSError), (directory / _HELD).open("r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
