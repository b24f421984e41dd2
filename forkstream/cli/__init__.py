"""The command line. A command is one file here and one line in :data:`~forkstream.cli.commands.COMMANDS`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run ``forkstream`` and exit: 0 done, 1 not as it should be, 2 cannot do what was asked."""
    from forkstream.cli.commands import command  # noqa: PLC0415  # importing this package must cost nothing

    try:
        code = command().main(arguments, prog_name="forkstream")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("FORKSTREAM_DEBUG"):
            raise
        from forkstream.cli.edge import report  # noqa: PLC0415  # see above

        code = report(error)
    sys.exit(code or 0)
