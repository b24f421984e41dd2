"""What a worker process is told before it begins."""

from __future__ import annotations

import msgspec

from forkstream.config.document import Document


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON on a worker's standard input. The pipe stays open after it: its end is the supervisor's end.

    ``document`` is the config as the supervisor read it, so that a worker that is started anew runs the same one,
    wherever it came from. ``socket`` is where the worker has to serve its admin endpoint; ``paused`` and ``switches``
    are what operators asked for since the start.
    """

    workers: int
    run: str
    document: Document
    forks: list[str]
    plugins: list[str]
    worker: int = 0
    socket: str = ""
    paused: dict[str, bool] = {}
    switches: dict[str, bool] = {}
