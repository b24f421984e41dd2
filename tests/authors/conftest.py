"""What an author has: forkstream as a wheel in a directory, beside what it depends on, and no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_NOT_TAKEN = (
    "forkstream",
    "_forkstream",
    "__editable__",
    "_editable",
    "pip",
    "setuptools",
    "pkg_resources",
    "_distutils",
)


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that has to succeed; give what it says."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(project: Path, into: Path) -> None:
    """Build a wheel, as ``pip wheel`` does, with what is installed here."""
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", into, cwd=project)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with forkstream's wheel."""
    directory = tmp_path_factory.mktemp("wheels")
    build(ROOT, directory)
    return directory


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is installed here, but for forkstream itself and its plugins."""
    directory = tmp_path_factory.mktemp("dependencies")
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(_NOT_TAKEN) and installed.suffix != ".pth":
            (directory / installed.name).symlink_to(installed)
    (directory / "bin").mkdir()  # where `python -m ruff` looks for its program
    (directory / "bin" / "ruff").symlink_to(Path(sysconfig.get_path("scripts")) / "ruff")
    return directory


@pytest.fixture
def environment(dependencies: Path) -> dict[str, str]:
    """Variables of a new shell: what is installed is found, a package index is not."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "COVERAGE"))}
    # what one of them has type-checked, the next need not
    return kept | {"PYTHONPATH": str(dependencies), "MYPY_CACHE_DIR": str(dependencies.with_name("mypy"))}
