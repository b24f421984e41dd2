"""One worker: ``python -m forkstream.supervisor.worker``, started by a supervisor that briefs it on standard input.

Its argument is the supervisor's process id.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import anyio
import msgspec
import structlog

from forkstream.config.loading import load_document
from forkstream.config.model import AdminSettings
from forkstream.errors import ForkstreamError
from forkstream.logs import configure_logs
from forkstream.ports import Switches
from forkstream.registry import Registry
from forkstream.serve import leave, serve
from forkstream.supervisor.briefing import Briefing
from forkstream.supervisor.leash import bind_to


def main() -> int:
    """Run until a signal or the supervisor's end; returns 2 for what the supervisor should have found itself."""
    pipe = os.dup(0)
    briefing = _briefing(pipe)
    with open(os.devnull) as nothing:  # noqa: PTH123  # no plugin may read from the leash
        os.dup2(nothing.fileno(), 0)
    bind_to(int(sys.argv[1]), pipe)
    switches = Switches(briefing.switches)
    try:
        config = load_document(
            briefing.document,
            forks=briefing.forks,
            registry=Registry.installed([Path(plugin) for plugin in briefing.plugins]),
            workers=briefing.workers,
            run=briefing.run,
            switches=switches,
        )
    except ForkstreamError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(config.file.log, config.secrets)
    structlog.contextvars.bind_contextvars(worker=briefing.worker)
    admin = AdminSettings(socket=briefing.socket)
    serving = partial(
        serve,
        config,
        run=briefing.run,
        switches=switches,
        admin=admin,
        paused=briefing.paused,
        workers=briefing.workers,
    )
    anyio.run(serving, backend_options={"use_uvloop": os.name == "posix"})
    leave()
    return 0


def _briefing(pipe: int) -> Briefing:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(pipe, 65536)
        if not read:
            raise SystemExit(0)  # nobody is left to work for
        line += read
    return msgspec.json.decode(line, type=Briefing)


if __name__ == "__main__":
    sys.exit(main())
