"""The OpenSearch that other tests use: shared while it is held, gone afterwards, however that came about."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.servers.opensearch.installation import InstallationError, _tool

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from tests.servers.opensearch.shared_server import shared_server
with shared_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # the tests' own server
            return b'"distribution" : "opensearch"' in answer.read()
    except OSError:
        return False


def holder(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_server_lives_as_long_as_one_of_its_holders(opensearch: str, tmp_path: Path) -> None:
    with holder(tmp_path) as first, holder(tmp_path) as second:
        assert first.stdout
        assert second.stdout
        url = first.stdout.readline().strip()
        assert url == second.stdout.readline().strip()
        assert url != opensearch
        first.communicate()
        assert answers(url)
        second.kill()
        second.communicate()
    limit = time.monotonic() + 60
    while answers(url):
        assert time.monotonic() < limit, "the server outlives its holders"


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InstallationError, match="no `java` was found"):
        _tool("java", "a JDK of version 17 or newer")
