"""What a person sees while it measures: a bar for each run, and lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from forkstream.bench.measure import Tell


class View:
    """Shows bars on a terminal, one line a run elsewhere; nothing if ``silent``. All of it on stderr."""

    def __init__(self, *, silent: bool = False) -> None:
        self._console = Console(stderr=True, quiet=silent, highlight=False)

    def line(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Tell]:
        """Show how far the run in the block is."""
        if not self._console.is_terminal:
            self.line(what)
            yield lambda _step, _share: None
            return
        columns = (TextColumn("  {task.description}", markup=False), BarColumn(), TextColumn("{task.fields[step]}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as bars:
            task = bars.add_task(what, total=1.0, step="")
            yield lambda step, share: bars.update(task, completed=share, step=step)
