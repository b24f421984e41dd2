"""A type checker sees an author's mistakes: snippets that must and must not type-check, and no ``Any`` to hide one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "forkstream"

TOUCHED = [
    *(PACKAGE / f"{name}.py" for name in ("__init__", "errors", "event", "ports", "settings")),
    *sorted((PACKAGE / "testing").rglob("*.py")),
]
"""What an author imports."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def mypy(cache: Path, *files: Path, more: Sequence[str] = ()) -> str:
    """Check files as the project is checked; give what mypy says."""
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache), *more, *map(str, files)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_right_snippets_are_taken_and_wrong_ones_refused_each_for_its_reason(cache: Path, tmp_path: Path) -> None:
    said = mypy(cache, HERE / "right.py", HERE / "wrong.py")
    assert said.startswith("Success"), said

    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"  # type: ignore\[.*", "", (HERE / "wrong.py").read_text()))
    due = {
        (number, code)
        for number, line in enumerate((HERE / "wrong.py").read_text().splitlines(), 1)
        for code in re.findall(r"# type: ignore\[([a-z-]+)\]", line)
    }
    found = {
        (int(line), code)
        for line, code in re.findall(r"bare\.py:(\d+): error: .*\[([a-z-]+)\]$", mypy(cache, bare), re.MULTILINE)
    }
    assert found == due


@pytest.mark.timeout(300)
def test_what_an_author_gets_from_forkstream_is_never_any(cache: Path) -> None:
    said = mypy(cache, HERE / "right.py", more=["--disallow-any-expr", "--disallow-any-decorated"])
    assert said.startswith("Success"), said


@pytest.mark.parametrize("path", TOUCHED, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_an_author_touches_has_no_any(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert "Any" not in names
