"""``forkstream demo`` as a new user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.demo_process import LIMIT, demo

pytestmark = pytest.mark.timeout(600)

PATH = "/usr/local/bin:/usr/bin:/bin"
"""What the demo and its user have alike: tools that are not there are not in the commands either."""
CHECKS = {
    "The first order": ["it is a row of CheckoutTable"],
    "1 checkout": ["every order is a row, its amount exact"],
    "2 storage & backup": [
        "every order is in the bucket",
        "every object is encrypted",
        "no object holds card data",
    ],
    "3 search & analytics": ["they can be found", "none below 100 can"],
    "An order that a sink refuses": [
        "it is a dead letter",
        "which says why",
        "and holds no card data",
        "mended and sent again, it is a row",
    ],
    "4 replay": [
        "the bug corrupts their rows",
        "the replay queue holds every order so far",
        "their rows become right",
        "the replay queue drains",
        "an order refused before comes again as it was: refused again, a second dead letter of it",
        "no other row has changed",
        "paused, it buffers again",
    ],
    "SIGKILL, 10 times, while 500 orders are posted": [
        "orders lost on their way to CheckoutTable",
        "orders lost on their way to the bucket",
        "orders lost on their way to search",
        "orders that a queue gave up",
    ],
    "SIGTERM": ["it ends in order"],
}


def test_it_walks_the_exercises_loses_nothing_when_killed_and_prints_one_json_document(tmp_path: Path) -> None:
    with demo(tmp_path, "--orders", "20", "--kill", "--json") as running:
        assert running.process.wait(500) == 0, running.err
        assert running.nothing_left(), running.left()
        report = json.loads(running.out)  # refuses a second document
        assert "1 checkout: 20 orders" in running.err
        assert "count since the service was last started" in running.err
    found: dict[str, list[str]] = {}
    for check in report["checks"]:
        assert check["ok"], check
        found.setdefault(check["exercise"], []).append(check["claim"])
    assert found == CHECKS
    assert report["ok"]
    assert 0 < report["first_order_seconds"] < report["seconds"]
    lost = [check["found"] for check in report["checks"] if "lost" in check["claim"]]
    assert lost == ["none"] * 3


def test_what_it_keeps_can_be_reached_by_the_commands_that_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", PATH)
    with demo(tmp_path, "--orders", "10", "--keep", measured=True) as running:
        # the exercises, too, show that command
        running.until("forkstream resume replay\n", after="It runs on until Ctrl-C:")
        printed = dict(re.findall(r"^  (\w+) +(.+)$", running.out.partition("until Ctrl-C:")[2], re.MULTILINE))
        assert printed.keys() == {"order", "search", "table", "bucket", "forks", "log", "commands"}

        def give(command: str) -> str:
            # as in a shell of the user's, which knows nothing of the demo
            environment = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=environment | {"PATH": PATH},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
            assert done.returncode == 0, done
            return done.stdout

        assert '"order": 1' in give(printed["order"])
        assert "CustomerId" in give(printed["table"])
        assert ".ndjson.zst.encrypted" in give(printed["bucket"])
        assert '"replay"' in give(printed["forks"])
        assert "usd" in give(printed["search"])
        assert "every task follows it" in give(printed["commands"])
        assert "every task follows it" in give(printed["commands"].replace("resume", "pause"))
        assert "no dead letters" in give(printed["commands"].replace("resume replay", "dlq list --fork replay"))
        address = give(printed["commands"].replace("forkstream resume replay", 'echo "$AWS_ENDPOINT_URL"')).strip()
        assert "/forks" in printed["forks"]
        assert address in printed["order"]
        assert Path(printed["log"].removeprefix("tail -f ")).stat().st_size
        assert running.end(signal.SIGINT) == 0
        assert running.nothing_left(), running.left()


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        # its end is that of the demo that is kept
        ("Setting the stage", signal.SIGINT),
        ("deploy/application.yaml", signal.SIGKILL),
        ("forkstream run", signal.SIGTERM),
        ("1 checkout", signal.SIGKILL),
        ("dlq list", signal.SIGINT),
    ],
)
def test_told_to_end_it_leaves_nothing_behind(phase: str, number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path, "--orders", "10", "--rate", "5/s", "--kill") as running:
        running.until(phase)
        assert running.left()
        code = running.end(number)
        assert code == (-number if number is signal.SIGKILL else 128 + number)
        assert running.nothing_left(), running.left()
        assert not running.err
        assert ("\nending: " in running.out) is (number is not signal.SIGKILL)
