"""A stranger's plugins as files, and the service as a process of its own that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLUGINS = '''
from __future__ import annotations

import os
import signal
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

import anyio

from forkstream import Drop, Event, EventSink, EventStage, Failure, Receipt, Refusal, Settings, Source, UnavailableError


class ThreeConfig(Settings):
    """Three orders."""

    witness: Path
    closed: bool = False


class Three(Source[ThreeConfig]):
    """Brings three orders, and ends the service when the last of them is deleted. ``witness`` tells that it was asked."""

    left = 3

    async def __aenter__(self) -> Self:
        if self.config.closed:
            raise UnavailableError("missing", "queue orders")
        self.orders = [(Event(b'{"n":%d}' % n, id=str(n)), n) for n in range(3)]
        return self

    async def receive(self, limit: int, *, hold: float, wait: float) -> Sequence[tuple[Event, Receipt]]:
        self.config.witness.write_text("received")
        if not self.orders:
            await anyio.sleep(wait)
        answer, self.orders = self.orders[:limit], self.orders[limit:]
        return answer

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        self.left -= len(receipts)
        if not self.left:
            os.kill(os.getpid(), signal.SIGTERM)
        return []

    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        return []


class Double(EventStage[Settings]):
    """Doubles n."""

    def __call__(self, event: Event) -> Event | Drop:
        assert isinstance(event.data, dict) and isinstance(event.data["n"], int)
        return event.with_(data={"n": 2 * event.data["n"]})


class LinesConfig(Settings):
    """Where to."""

    path: Path


class Lines(EventSink[LinesConfig]):
    """Appends bodies to a file, a line each."""

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        with self.config.path.open("ab") as file:
            file.writelines(event.body + b"\\n" for event in events)
        return []
'''


def install(directory: Path, name: str, files: dict[str, str], entry_points: str) -> None:
    """Put a distribution where Python looks for packages, as an installer does."""
    package, info = directory / name, directory / f"{name}-1.2.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    for file, content in files.items():
        (package / file).write_text(content)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entry_points)


def forkstream(*arguments: str, directory: Path, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``forkstream`` as a process in ``directory``, with the distributions in ``packages``; ends within a minute."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORKSTREAM_")}
    paths = [str(packages)] if packages else []
    environment["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [environment.get("PYTHONPATH")])])
    environment["FORKSTREAM_STOP_TIMEOUT"] = "5"  # a drain waits for a receive under way, for a part of this
    return subprocess.run(
        [sys.executable, "-m", "forkstream", *arguments],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
