"""The command line. A command is one file here and one line in :data:`~forkstream.cli.commands.COMMANDS`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run ``forkstream`` and exit: 0 done, 1 not as it should be, 2 cannot do what was asked."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read our output has gone, as `head` does; nothing may be left to be flushed at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _run(arguments: list[str] | None) -> int | str | None:
    match sys.argv[1:] if arguments is None else arguments:
        case ["health"] | ["health", "--admin", _] as words:
            from forkstream.cli.pulse import pulse  # noqa: PLC0415  # a container asks often: half the time without typer

            return pulse(*words[2:])
    from forkstream.cli.commands import command  # noqa: PLC0415  # importing this package must cost nothing

    try:
        command().main(arguments, prog_name="forkstream")
    except SystemExit as ended:
        return ended.code
    except Exception as error:
        if os.environ.get("FORKSTREAM_DEBUG"):
            raise
        from forkstream.cli.edge import report  # noqa: PLC0415  # see above

        return report(error)
    return 0
