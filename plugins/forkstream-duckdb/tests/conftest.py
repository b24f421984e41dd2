"""Documents and a file of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pytest

Select: TypeAlias = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "analytics.duckdb"


@pytest.fixture
def select(file: Path) -> Select:
    """Ask the file as a reader does: opened read-only, for one query."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(file, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return ask
