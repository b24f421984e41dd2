"""What a person sees of the demo: the forks as they work, and each check with what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from forkstream.status import ForkStatus, ServiceStatus

_LOOK_SECONDS = 0.5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the demo looked at: what should be, what was found, and whether that is right.

    ``seconds`` have passed since its exercise began.
    """

    exercise: str
    claim: str
    found: str
    ok: bool
    seconds: float


class View:
    """Prints steps and checks as lines; on a terminal the forks and progress bars stand live below them.

    ``aside`` prints to standard error: standard output is somebody else's.
    """

    def __init__(self, *, aside: bool = False) -> None:
        self._console = Console(stderr=aside, highlight=False)
        self._status: Callable[[], ServiceStatus | None] = lambda: None
        self._last: ServiceStatus | None = None
        self._asked_at = 0.0
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
        self._is_live = self._console.is_terminal

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def watch(self, status: Callable[[], ServiceStatus | None]) -> None:
        """From now on show the forks as ``status`` tells."""
        self._status = status

    def stop(self) -> None:
        """End the live part; lines can still be printed."""
        if self._is_live:
            self._live.stop()

    def title(self, text: str) -> None:
        """Begin a part."""
        self._console.print()
        self._console.print(Text(text, style="bold"), soft_wrap=True)

    def line(self, text: str) -> None:
        """Print a line as it is: a command can be copied from it."""
        self._console.print(Text(text), soft_wrap=True)

    def say(self, text: str) -> None:
        """Tell what is done now."""
        self._console.print(Text(f"  {text}", style="dim"), soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Tell what is done in the block, which takes a while."""
        self.say(text)
        with self.progress(text.partition(":")[0]):
            yield

    def show(self, check: Check) -> None:
        """Tell what a check found."""
        mark = Text("  ✓ ", style="green") if check.ok else Text("  ✗ ", style="bold red")
        self._console.print(mark + Text(f"{check.claim}: {check.found}"), soft_wrap=True)

    def show_forks(self) -> None:
        """Print the forks as they stand now."""
        status = self._status() or self._last
        if status:
            self._console.print(picture(status.forks))

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show a progress bar for the block, one that only moves if ``total`` is unknown; hands out what sets it."""
        task = self._progress.add_task(what, total=total, count="" if total is None else f"0/{total:,}")
        try:
            yield lambda count: self._progress.update(task, completed=count, count=f"{count:,}/{total:,}")
        finally:
            self._progress.remove_task(task)

    def _render(self) -> RenderableType:
        now = time.monotonic()
        if now - self._asked_at > _LOOK_SECONDS:
            self._asked_at = now
            self._last = self._status() or self._last
        parts: list[RenderableType] = [Text(), self._progress]
        if self._last:
            parts[:0] = [Text(), picture(self._last.forks)]
        return Group(*parts)


def picture(forks: list[ForkStatus]) -> RenderableType:
    """The forks as a table, and under it why those that are in trouble are."""
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="bold")
    table.add_column("fork", no_wrap=True)
    for name in ("received", "in flight", "written", "failed", "dead", "lag"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for fork in forks:
        counts = (fork.received, fork.in_flight, fork.written, fork.failed, fork.dead)
        table.add_row(
            fork.name,
            *(f"{count:,}" for count in counts),
            "-" if fork.lag is None else f"{fork.lag:,}",
            Text(fork.standing, style="green" if fork.state == "open" else "yellow"),
        )
    return Group(table, *(Text(f"  {_trouble(fork)}", style="yellow") for fork in forks if fork.code))


def _trouble(fork: ForkStatus) -> str:
    return f"{fork.name} is {fork.standing}: {fork.code}" + (f" ({fork.detail})" if fork.detail else "")
