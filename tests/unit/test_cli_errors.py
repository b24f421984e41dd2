"""The command line's edge: every command is explained, starts at once, and ends an error without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from forkstream.cli import commands, main
from forkstream.cli.edge import report
from forkstream.errors import (
    CommandError,
    ConfigError,
    PermanentError,
    PluginError,
    TransientError,
    UnavailableError,
)
from tests.cli_kit import run

DETAIL = "card-number 4111111111111111"


@pytest.mark.parametrize(
    ("error", "lines", "code"),
    [
        (ConfigError(["a: b", "c: d"]), ["a: b", "c: d"], 2),
        (PluginError("no sink is called 'x'"), ["no sink is called 'x'"], 2),
        (CommandError("no fork 'x'"), ["no fork 'x'"], 2),
        (UnavailableError("denied", "s3:PutObject on orders"), ["unavailable: denied (s3:PutObject on orders)"], 1),
        (TransientError("throttled", DETAIL), ["failed: throttled"], 1),
        (PermanentError("refused", DETAIL), ["failed: refused"], 1),
        (FileNotFoundError(2, "No such file or directory", "x.yaml"), ["x.yaml: No such file or directory"], 2),
        (OSError(28, "No space left on device"), ["No space left on device"], 1),
        (
            ExceptionGroup(
                "a", [TransientError("throttled"), ExceptionGroup("b", [CommandError("do this"), KeyError()])]
            ),
            ["do this", "(and 2 more; FORKSTREAM_DEBUG=1 shows them all)"],
            2,
        ),
    ],
)
def test_an_error_is_what_happened_and_what_to_do(
    error: Exception, lines: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == code
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in lines))


def unexpected() -> None:
    raise KeyError(DETAIL)


def test_an_unexpected_error_is_told_by_its_place_and_never_by_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(commands.COMMANDS, "check", commands.Entry(f"{__name__}:unexpected", "Fail."))
    monkeypatch.delenv("FORKSTREAM_DEBUG", raising=False)
    assert run("check") == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"unexpected KeyError in {__file__}:")
    assert "FORKSTREAM_DEBUG=1" in output.err
    assert DETAIL not in output.err + output.out
    monkeypatch.setenv("FORKSTREAM_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["check"])


def test_a_command_that_is_not_there_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("chek") == 2
    assert "Did you mean 'check'" in capsys.readouterr().err


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands.COMMANDS:
        subcommands = getattr(commands.load(name), "commands", None)
        for path in [[name, each] for each in subcommands] if subcommands else [[name]]:
            assert run(*path, "--help") == 0
            output = capsys.readouterr().out
            assert "Examples" in output, path
            assert f"forkstream {' '.join(path)}" in output.partition("Examples")[2], path


def test_help_and_version_import_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        "import sys\n"
        "from forkstream.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('rich', 'yaml', 'anyio', 'asyncio', 'structlog', 'aiohttp', 'boto', 'aioboto', 'forkstream.config')\n"
        "print([m for m in sys.modules if m.startswith(heavy)], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert "Check a config" in done.stdout
    assert done.stderr == "[]\n"
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("forkstream 0.")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_ends_quietly(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "from forkstream.cli import main; main(['plugins', 'about', 'memory'])"]
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with os.fdopen(writer) as closed:
        done = subprocess.run(
            command, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=environ
        )
    assert (done.returncode, done.stderr) == (1, "")
