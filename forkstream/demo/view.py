"""What a person sees of the demo: the forks as they work, and each check with what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from forkstream.status import ForkStatus, ServiceStatus


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the demo looked at: what should be, what was found, and whether that is right."""

    exercise: str
    claim: str
    found: str
    ok: bool
    seconds: float


class View:
    """Prints steps and checks; on a terminal the forks and a progress bar stand live below them."""

    def __init__(self, status: Callable[[], ServiceStatus | None], *, silent: bool = False) -> None:
        self.console = Console(stderr=False, quiet=silent)
        self._status = status
        self._last: ServiceStatus | None = None
        self._asked_at = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=self.console
        )
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
        self._is_live = self.console.is_terminal and not silent

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.print(f"\n[bold]{text}[/]")

    def say(self, text: str) -> None:
        """Tell what is done now."""
        self.console.print(Text(f"  {text}", style="dim"), soft_wrap=True)

    def show(self, check: Check) -> None:
        """Tell what a check found."""
        mark = Text("  ✓ ", style="green") if check.ok else Text("  ✗ ", style="bold red")
        self.console.print(mark + Text(f"{check.claim}: {check.found}"), soft_wrap=True)

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """Show a progress bar until it is full; returns what sets it."""
        task = self._progress.add_task(what, total=total)

        def set_to(count: int) -> None:
            self._progress.update(task, completed=count, visible=count < total)

        return set_to

    def _render(self) -> RenderableType:
        now = time.monotonic()
        if now - self._asked_at > 0.5:
            self._asked_at = now
            self._last = self._status() or self._last
        return Group(forks_table(self._last.forks if self._last else []), self._progress)


def forks_table(forks: list[ForkStatus]) -> Table:
    """The forks as a table: received, in flight, written, failed, lag."""
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("fork")
    for name in ("received", "in flight", "written", "failed", "dead", "lag"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for fork in forks:
        state = fork.state + (f" ({fork.code})" if fork.code else "")
        table.add_row(
            fork.name,
            f"{fork.received:,}",
            f"{fork.in_flight:,}",
            f"{fork.written:,}",
            f"{fork.failed:,}",
            f"{fork.dead:,}",
            "-" if fork.lag is None else f"{fork.lag:,}",
            Text(state, style="green" if fork.state == "open" else "yellow"),
        )
    return table
