"""The tutorial of plugins/README.md, line by line: what it writes is written, what it runs is run, what it shows is seen."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.authors.conftest import ROOT, build, run
from tests.cli_kit import run as forkstream

README = ROOT / "plugins" / "README.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n")


def chapter(title: str) -> str:
    """Give the text below a heading, up to the next one of its rank."""
    return README.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def script_of(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Make one script of the blocks that are run or written; and list the lines that are shown, after which block."""
    script: list[str] = []
    shown: list[tuple[int, str]] = []
    for language, content in _BLOCK.findall(text):
        named = _FILE.match(content)
        if language == "text":
            shown += [(len(script) - 1, line) for line in content.splitlines()]
        elif language == "bash":
            script.append(content)
        else:
            assert named, f"a block of {language} has no first line that names its file"
            script.append(f"cat > {named[1]} <<'END OF FILE'\n{content}END OF FILE\n")
    return "".join(f"echo '@@{number}@@'\n{part}" for number, part in enumerate(script)), shown


def is_shown(line: str, said: str) -> bool:
    """``…`` stands for anything within a line; a line of output may have more around it."""
    pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
    return bool(re.search(pattern, said))


@pytest.mark.timeout(600)
def test_the_tutorial_can_be_followed_line_by_line(tmp_path: Path, wheels: Path, environment: dict[str, str]) -> None:
    (wheel,) = wheels.glob("forkstream-*.whl")
    python = tmp_path / "bin" / "python3"  # the one that runs the tests, whatever the machine's own is
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    environment |= {
        "PATH": f"{python.parent}:{environment['PATH']}",
        "FORKSTREAM": str(wheel),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there is none
        "PIP_NO_COMPILE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    environment.pop("VIRTUAL_ENV", None)
    script, shown = script_of(chapter("From nothing to a published sink in ten minutes"))
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-euo", "pipefail", "-c", script], cwd=work, env=environment, capture_output=True, text=True, check=False,
        timeout=570, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = {
        int(number): output for number, output in re.findall(r"@@(\d+)@@\n(.*?)(?=@@\d|\Z)", done.stdout, re.DOTALL)
    }
    missing = [(line, said[block]) for block, line in shown if not is_shown(line, said[block])]
    assert not missing, "\n".join(f"{line!r} is not in\n{output}" for line, output in missing)


@pytest.mark.timeout(300)
def test_the_image_s_three_lines_need_no_more_than_the_wheels(
    tmp_path: Path, wheels: Path, environment: dict[str, str]
) -> None:
    ((language, dockerfile),) = _BLOCK.findall(chapter("An image with your plugin"))
    lines = dockerfile.splitlines()
    assert (language, [line.split()[0] for line in lines]) == ("dockerfile", ["FROM", "COPY", "RUN"])
    assert lines[0] == "FROM python:3.12-slim", "what is not built here cannot be built upon"
    copied = shutil.copytree(wheels, tmp_path / "wheels")
    assert forkstream("plugins", "new", "sqlite", "--kind", "event-sink", "--directory", str(tmp_path)) == 0
    build(tmp_path / "forkstream-sqlite", copied)
    run(sys.executable, "-m", "venv", "image", cwd=tmp_path)
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    _, program, *arguments = lines[2].replace("/wheels", str(copied)).split()
    run(f"image/bin/{program}", *arguments, cwd=tmp_path, env=environment)
    said = run("image/bin/forkstream", "plugins", "list", cwd=tmp_path, env=environment)
    assert re.search(r"^sqlite +sink +EventSink +forkstream-sqlite +0.1.0 +ok$", said, re.MULTILINE)
