"""The commands that a kept demo prints can be given where it runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from forkstream.demo.application import Application
from forkstream.demo.reach import reach
from forkstream.demo.search import Search
from forkstream.demo.service_process import ServiceProcess


def commands(directory: Path, *tools: str) -> dict[str, str]:
    for tool in tools:
        (directory / tool).touch(0o755)
    service = SimpleNamespace(environment={"A": "1"}, admin="http://127.0.0.1:1", log=directory / "log")
    application = SimpleNamespace(checkout_url="http://127.0.0.1:2/checkout", table="orders", backup_bucket="backup")
    return reach(
        directory,
        {"PATH": str(directory)},
        cast("ServiceProcess", service),
        cast("Application", application),
        cast("Search", SimpleNamespace(command="ask")),
    )


def test_the_tools_that_everybody_knows_are_named_where_they_are(tmp_path: Path) -> None:
    told = commands(tmp_path, "aws", "curl")
    assert told["table"].endswith("; aws dynamodb scan --table-name orders")
    assert told["bucket"].endswith("; aws s3 ls --recursive s3://backup")
    assert told["forks"] == "curl http://127.0.0.1:1/forks"
    assert told["order"].startswith("curl -X POST ")


@pytest.mark.parametrize("part", ["order", "table", "bucket", "forks"])
def test_without_them_python_does_the_same_in_one_line(part: str, tmp_path: Path) -> None:
    *_, python, option, program = shlex.split(commands(tmp_path)[part])
    assert "python" in Path(python).name
    assert option == "-c"
    assert "\n" not in program
    compile(program, part, "exec")
