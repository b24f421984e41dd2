"""Contract 10: a plugin that forkstream has never heard of runs in the service, installed or as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin_kit import PLUGINS, forkstream, install

CONFIG = """
forks:
  one:
    source: {three: {witness: witness}}
    stages: [double]
    sink: {lines: {path: out}}
"""
ENTRY_POINTS = """
[forkstream.sources]
three = acme:Three
[forkstream.stages]
double = acme:Double
[forkstream.sinks]
lines = acme:Lines
unfinished = acme.unfinished:Unfinished
"""
UNFINISHED = """
from pathlib import Path

Path("imported").touch()
import a_library_that_nobody_installed
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A place for packages that holds acme, a distribution with four plugins, one of which cannot be imported."""
    directory = tmp_path / "packages"
    install(directory, "acme", {"__init__.py": PLUGINS, "unfinished.py": UNFINISHED}, ENTRY_POINTS)
    return directory


def test_an_installed_distribution_brings_its_source_stage_and_sink(tmp_path: Path, packages: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    ended = forkstream("run", "c.yaml", "--no-admin", directory=tmp_path, packages=packages)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_text().split() == ['{"n":0}', '{"n":2}', '{"n":4}']
    assert not (tmp_path / "imported").exists(), "a plugin that no config names was imported"


def test_a_file_brings_them_with_no_packaging(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGINS)
    (tmp_path / "c.yaml").write_text(CONFIG)
    ended = forkstream("run", "c.yaml", "--plugin", "mine.py", "--no-admin", directory=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_text().split() == ['{"n":0}', '{"n":2}', '{"n":4}']


def test_one_that_cannot_be_imported_stops_the_start_by_its_name(tmp_path: Path, packages: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("{lines: {path: out}}", "unfinished"))
    ended = forkstream("run", "c.yaml", "--no-admin", directory=tmp_path, packages=packages)
    assert ended.returncode == 2
    assert "sink 'unfinished' of acme 1.2 cannot be imported (acme.unfinished:Unfinished)" in ended.stderr
    assert "a_library_that_nobody_installed" in ended.stderr
    assert not (tmp_path / "witness").exists()
