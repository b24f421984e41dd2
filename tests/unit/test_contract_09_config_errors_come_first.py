"""Contract 9: whatever is wrong in a config is told at once, before the first receive; what only a queue can tell stops its fork alone."""

from __future__ import annotations

from pathlib import Path

from tests.plugin_kit import PLUGINS, forkstream

WRONG = """
forks:
  one:
    source: {three: {witness: witness, clozed: true}}
    stages: [dubble, compress: {level: 99}]
    sink: {lines: {path: out}}
    batch: {max_age: 60}
  two:
    source: {three: {witness: "${NOBODY_SET_THIS}"}}
    sink: {lines: {path: out}}
  three:
    source: {three: {witness: witness}}
    sink: {lines: {path: out}}
    format: json
"""

ALONE = """
forks:
  one:
    source: {three: {witness: closed, closed: true}}
    sink: {lines: {path: never}}
  two:
    source: {three: {witness: witness}}
    sink: {lines: {path: out}}
"""


def test_all_is_told_at_once_by_its_path_and_nothing_was_received(tmp_path: Path) -> None:
    (tmp_path / "plugins.py").write_text(PLUGINS)
    (tmp_path / "c.yaml").write_text(WRONG)
    ended = forkstream("run", "c.yaml", "--plugin", "plugins.py", "--no-admin", directory=tmp_path)
    assert ended.returncode == 2
    for path in (
        "forks.one.source.three.clozed",
        "forks.one.stages[0]",
        "forks.one.stages[1].compress",
        "forks.one.batch.max_age",
        "forks.two.source.three.witness",
        "forks.three.sink.lines",
    ):
        assert f": {path}: " in ended.stderr, ended.stderr
    assert "did you mean closed?" in ended.stderr
    assert "did you mean 'double'?" in ended.stderr
    assert not (tmp_path / "witness").exists()
    assert not (tmp_path / "out").exists()


def test_a_fork_whose_queue_is_missing_stops_alone(tmp_path: Path) -> None:
    (tmp_path / "plugins.py").write_text(PLUGINS)
    (tmp_path / "c.yaml").write_text(ALONE)
    ended = forkstream("run", "c.yaml", "--plugin", "plugins.py", "--no-admin", directory=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_text().split() == ['{"n":0}', '{"n":1}', '{"n":2}']
    assert '"code":"missing"' in ended.stderr
    assert not (tmp_path / "closed").exists()
