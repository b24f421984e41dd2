"""``python -m forkstream_duckdb``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from forkstream_duckdb.__main__ import main


@pytest.fixture
def filled(file: Path) -> Path:
    with duckdb.connect(file) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 4711 AS id")
    return file


def test_a_query_prints_its_result(filled: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "forkstream_duckdb", str(filled), "SELECT id FROM orders"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "4711" in asked.stdout


def test_a_write_under_way_is_waited_for(filled: Path) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()"
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(filled)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == "open\n"
        assert main([str(filled), "SELECT 1", "--wait", "0"]) == 1
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert main([str(filled), "SELECT 1", "--wait", "30"]) == 0


def test_nothing_is_changed_and_nothing_is_made(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(filled), "DROP TABLE orders"]) == 1
    assert "read-only" in capsys.readouterr().err
    assert main([str(filled.with_name("other.duckdb")), "SELECT 1", "--wait", "600"]) == 1
    assert not filled.with_name("other.duckdb").exists()
