"""A Python module on a leash: ``python -m forkstream.demo.leash MODULE ARGUMENT…`` runs it until whoever started it is gone.

Standard input is the leash: a pipe of which the starter alone holds the other end. However the starter ends, SIGKILL
included, the pipe ends with it, and then so does this process with all of its group. Started in a session of its own.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading

DIRECTORY = "FORKSTREAM_DEMO_DIRECTORY"
"""The environment variable that names the directory which nobody is left to remove when the leash ends."""


def main() -> None:
    """Run the module in the main thread, where it can handle signals."""
    threading.Thread(target=_follow, name="leash", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _follow() -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 4096):
        pass
    directory = os.environ.get(DIRECTORY)
    if directory:
        # a moment later, when nobody writes there any more
        subprocess.Popen(["/bin/sh", "-c", 'sleep 1; rm -rf -- "$0"', directory], start_new_session=True)
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
