"""``python -m forkstream_duckdb FILE 'SELECT …'``: ask the file while forkstream writes to it."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path

import duckdb

_PAUSE = 0.02


def main(arguments: list[str] | None = None) -> int:
    """Run one query read-only and print its result; a write under way is waited for, since it lasts a moment."""
    parser = argparse.ArgumentParser(prog="python -m forkstream_duckdb", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("sql")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for a write that is under way")
    asked = parser.parse_args(arguments)
    try:
        with closing(_open(asked.file, asked.wait)) as connection:
            connection.sql(asked.sql).show()
    except duckdb.Error as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command's answer
        return 1
    return 0


def _open(file: Path, patience: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + patience
    while True:
        try:
            return duckdb.connect(file, read_only=True)
        except (duckdb.IOException, duckdb.ConnectionException) as error:
            locked = isinstance(error, duckdb.ConnectionException) or "Could not set lock" in str(error)
            if not locked or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)


if __name__ == "__main__":
    sys.exit(main())
