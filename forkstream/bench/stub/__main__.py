"""``python -m forkstream.bench.stub SETTINGS``: the stub in a process of its own; SETTINGS are JSON."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

import msgspec

from forkstream.bench.stub.server import Server, Settings


def main() -> None:
    """Serve until the process is ended."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    if os.name == "posix":
        import uvloop  # noqa: PLC0415  # not there on Windows

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    server = Server(settings)
    gc.freeze()  # the rendered messages stay: looking at them again and again would be measured too
    await server.run()


if __name__ == "__main__":
    main()
