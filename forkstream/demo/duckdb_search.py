"""The embedded analytics: one DuckDB file, which the service's search fork fills."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from forkstream.demo.application import DEPLOY
from forkstream.demo.overlay import overlaid
from forkstream.demo.search import Search

_QUESTION = "SELECT currency, count(*) AS orders, sum(amount) AS total FROM orders GROUP BY currency"
_PATIENCE = 10.0


class DuckDBSearch(Search):
    """The file ``analytics.duckdb`` of a directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "analytics.duckdb"
        self.config = directory / "forkstream.yaml"
        self.environment = {"ANALYTICS_FILE": str(self._path), "OPENSEARCH_URL": ""}
        self.command = (
            f"{shlex.quote(sys.executable)} -m forkstream_duckdb {shlex.quote(str(self._path))} '{_QUESTION}'"
        )

    def amounts(self) -> dict[int, float]:
        """Read the file while the service writes to it."""
        deadline = time.monotonic() + _PATIENCE
        while self._path.exists():
            try:
                with duckdb.connect(str(self._path), read_only=True) as database:
                    rows = database.sql("SELECT id, amount FROM orders").fetchall()
            except duckdb.CatalogException:  # the first batch makes the table
                break
            except duckdb.Error:  # a write is under way, which lasts a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return {int(order): float(amount) for order, amount in rows}
        return {}


@contextmanager
def duckdb_search(directory: Path) -> Iterator[DuckDBSearch]:
    """Lay the embedded analytics over the application's config."""
    search = DuckDBSearch(directory)
    search.config.write_text(overlaid(DEPLOY / "ecommerce.yaml", DEPLOY / "embedded-search.yaml"))
    yield search
