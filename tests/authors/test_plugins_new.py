"""``forkstream plugins new``: what it writes is a distribution whose tests pass, and that keeps a house's own rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from forkstream.cli.plugins_new import Port
from tests.authors.conftest import build, run
from tests.cli_kit import run as forkstream


@pytest.mark.timeout(600)
def test_each_kind_is_installable_with_forkstream_as_a_wheel_and_passes_its_tests_types_and_lints(
    tmp_path: Path, wheels: Path, environment: dict[str, str]
) -> None:
    site = tmp_path / "site"
    for port in Port:
        assert forkstream("plugins", "new", f"my-{port.value}", "--kind", port.value, "--directory", str(tmp_path)) == 0
        build(tmp_path / f"forkstream-my-{port.value}", tmp_path / "built")
    for wheel in [*wheels.glob("*.whl"), *(tmp_path / "built").glob("*.whl")]:
        ZipFile(wheel).extractall(site)  # all that an installation of pure Python is
    environment["PYTHONPATH"] = f"{site}:{environment['PYTHONPATH']}"
    python, projects = Path(sys.executable), sorted(tmp_path.glob("forkstream-*"))
    assert len(projects) == len(Port)

    script = "from forkstream.cli import main; main(['plugins', 'list', '--json'])"
    rows = {row["name"]: row for row in json.loads(run(python, "-c", script, cwd=tmp_path, env=environment))}
    assert {name: (row["kind"], row["problem"]) for name, row in rows.items() if name.startswith("my-")} == {
        f"my-{port.value}": (port.kind.value, "") for port in Port
    }

    tests = [project / "tests" for project in projects]
    rules: list[str | Path] = ["-c", projects[0] / "pyproject.toml", "--rootdir", tmp_path]
    said = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *rules, *tests, cwd=tmp_path, env=environment)
    assert "passed" in said
    assert "skipped" not in said, "every rule is tried"

    sources = [project / "src" for project in projects]
    environment["MYPYPATH"] = ":".join(map(str, sources))
    run(python, "-m", "mypy", "--strict", *sources, *tests, cwd=tmp_path, env=environment)
    run(python, "-m", "ruff", "check", "--no-cache", *projects, cwd=tmp_path)
    run(python, "-m", "ruff", "format", "--no-cache", "--check", *projects, cwd=tmp_path)


def test_it_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert forkstream("plugins", "new", "lower-case", "--kind", "event-stage", "--directory", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}/forkstream-lower-case holds the event stage lower-case. Now:"
    assert lines[2:6] == [
        f"    cd {tmp_path}/forkstream-lower-case",
        "    python -m pip install -e '.[test]'",
        "    python -m pytest",
        "    forkstream plugins about lower-case",
    ]
    assert (tmp_path / "forkstream-lower-case" / "src/forkstream_lower_case/lower_case.py").is_file()


def test_what_is_there_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "forkstream-mine").mkdir()
    assert forkstream("plugins", "new", "mine", "--kind", "source", "--directory", str(tmp_path)) == 2
    assert "exists already: nothing was written" in capsys.readouterr().err
    assert not [*(tmp_path / "forkstream-mine").iterdir()]


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        ("Webhook", "event-sink", "'Webhook': expected lower-case words joined by -"),
        ("../x", "event-sink", "'../x': expected lower-case words joined by -"),
        ("a--b", "event-sink", "'a--b': expected lower-case words joined by -"),
        ("forkstream-webhook", "event-sink", "give the name that a config will say, 'webhook'"),
        ("lambda", "async-stage", "'lambda' is a word of Python"),
        ("event", "object-sink", "its class would be EventSink, which is forkstream's own"),
        ("s3", "object-sink", "a sink called 's3' is installed already, of forkstream "),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str, complaint: str
) -> None:
    assert forkstream("plugins", "new", name, "--kind", kind, "--directory", str(tmp_path)) == 2
    assert complaint in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_name_of_another_kind_is_free(tmp_path: Path) -> None:
    assert forkstream("plugins", "new", "s3", "--kind", "source", "--directory", str(tmp_path)) == 0
