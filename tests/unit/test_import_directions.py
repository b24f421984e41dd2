"""The shape of the house: who may import whom. An arrow that runs the other way is a change of architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "forkstream"

GROUND = {"raised_at", "errors", "settings", "event", "ports", "ulid", "backoff"}
"""What everybody may know, plugins' authors included."""
OBJECTS = {"envelope", "formats", "letters"}
"""What events look like when they are stored."""
PLUGINS = {"sources", "stages", "sinks"}
RUNTIME = {"flow", "telemetry"}

MAY_IMPORT: dict[str, set[str]] = {
    "raised_at": set(),
    "errors": {"raised_at"},
    "settings": set(),
    "ulid": set(),
    "backoff": set(),
    "bounded_threads": set(),
    "event": {"errors"},
    "ports": {"event", "settings"},
    "__init__": GROUND,
    "envelope": GROUND,
    "formats": GROUND | {"envelope"},
    "letters": GROUND,
    "fields": GROUND,
    "aws": GROUND,
    "sources": GROUND | {"aws"},
    "stages": GROUND | {"aws", "bounded_threads", "fields"},
    "sinks": GROUND | {"aws", "fields"},
    "reading": GROUND | OBJECTS | {"aws", "stages"},
    "loop_metrics": set(),
    "metrics": {"loop_metrics"},
    "loop_stall": set(),
    "telemetry": GROUND | {"metrics"},
    "flow": GROUND | OBJECTS | {"bounded_threads", "raised_at", "telemetry"},
    "port_shape": GROUND,
    "registry": GROUND | {"port_shape"},
    "status": set(),
    "shared_file": GROUND,
    "config": GROUND | OBJECTS | {"aws", "registry"},
    "logs": GROUND | {"config"},
    "control": GROUND | {"aws", "shared_file"},
    "admin": GROUND | {"config", "status"},
    "assembly": GROUND | OBJECTS | {"config", "flow"},
    "service": GROUND | {"control", "flow", "loop_stall", "metrics", "status", "telemetry"},
    "iam": GROUND,
    "cgroup": set(),
    "serve": GROUND | {"admin", "assembly", "cgroup", "config", "control", "service"},
    "supervisor": GROUND | {"admin", "config", "control", "logs", "metrics", "registry", "serve", "status"},
    "costs": GROUND | {"assembly", "config"},
    "dlq": GROUND | OBJECTS | {"aws", "config", "flow", "reading", "sinks", "sources", "stages"},
    "rehearsal": GROUND | OBJECTS | {"aws", "config", "fields", "flow", "reading", "stages"},
    # what an author tests with: settings are read as a start reads them, the source in memory and the embedded AWS are lent
    "testing": GROUND | {"config", "demo", "port_shape", "registry", "sources"},
}
LAST = {"__main__", "bench", "cli", "demo"}
"""They may import anything; nobody imports them, but for the embedded AWS that is the demo's and every test's."""


def imports(path: Path) -> Iterator[str]:
    """Name the parts of forkstream that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "forkstream":
                part = rest.split(".")[0]
                yield part if (ROOT / part).exists() or (ROOT / f"{part}.py").exists() else "__init__"


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = [path for path in sorted(ROOT.rglob("*.py")) if part_of(path) not in LAST | {"py.typed"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new here: say above what it may import"
    wrong = set(imports(path)) - MAY_IMPORT[part] - {part}
    assert not wrong, f"{path.name} imports {', '.join(sorted(wrong))}"


def test_the_runtime_imports_no_plugin() -> None:
    for path in FILES:
        if part_of(path) in RUNTIME | {"service", "assembly", "config", "registry"}:
            assert not set(imports(path)) & PLUGINS, path


def test_a_wrong_arrow_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from forkstream.flow.fork import Fork\nimport forkstream.config.loading\n")
    assert set(imports(wrong)) == {"flow", "config"}
