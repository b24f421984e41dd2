"""How ``forkstream top`` shows services: a table by fork. What services tell is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from forkstream.cli.sight import Row, Sight, rows
from forkstream.status import ForkStatus

_COLOURS = {"open": "green", "paused": "yellow", "draining": "yellow", "starting": "yellow", "ended": "dim"}
_COLUMNS = (
    "fork", "state", "in/s", "out/s", "lag", "age", "in flight", "budget", "batches", "pollers", "writes", "retries/s",
    "dead", "last error",
)  # fmt: skip
_WORDS = {"fork", "state", "last error"}
_EXPENDABLE = ("pollers", "batches", "writes", "age", "budget", "retries/s", "in flight", "out/s", "lag")
"""Which columns a narrow terminal does without, the first of them first: half a number is worse than none."""
_GAP = 2
_ENOUGH_OF_AN_ERROR = 24


def top_table(now: Sequence[Sight], before: Sequence[Sight]) -> RenderableType:
    """Draw all services as they stand, with what does not answer below."""
    lines = [
        list(_cells(row, of_many=place > 0)) for together in rows(now, before) for place, row in enumerate(together)
    ]
    table: list[RenderableType] = [Text(), _ByFork(lines)] if lines else []
    return Group(_headline(now), *table, *_notes(now))


class _ByFork:
    """The table, with the columns that there is room for."""

    def __init__(self, lines: list[list[Text]]) -> None:
        self._lines = lines

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        left_out = self._left_out(options.max_width)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in _COLUMNS:
            if column not in left_out:
                words = column in _WORDS
                table.add_column(
                    column, justify="left" if words else "right", no_wrap=column != "last error", overflow="ellipsis"
                )
        for cells in self._lines:
            table.add_row(*(cell for column, cell in zip(_COLUMNS, cells, strict=True) if column not in left_out))
        yield table
        if left_out:
            yield Text(f"\ntoo narrow for {', '.join(left_out)}: widen it, or see --json", style="dim")

    def _left_out(self, width: int) -> list[str]:
        widths = {
            column: max(len(column), *(cells[index].cell_len for cells in self._lines))
            for index, column in enumerate(_COLUMNS)
        }
        widths["last error"] = min(widths["last error"], _ENOUGH_OF_AN_ERROR)
        left_out: list[str] = []
        for column in _EXPENDABLE:
            if sum(widths.values()) + _GAP * (len(widths) - 1) <= width:
                break
            del widths[column]
            left_out.append(column)
        return left_out


def _headline(now: Sequence[Sight]) -> Text:
    up = [sight.status for sight in now if sight.status]
    ready = sum(status.ready for status in up)
    line = Text(f"{len(now)} service{'s' if len(now) != 1 else ''}, {len(up)} answering, {ready} ready", style="bold")
    switches = sorted({name for status in up for name, on in status.switches.items() if on})
    return line.append(_told(f"   switched on: {', '.join(switches)}", "yellow")) if switches else line


def _cells(row: Row, *, of_many: bool) -> Iterable[Text]:
    fork, rates = row.fork, row.rates
    yield _told(f"  {row.service}", "dim") if of_many else _told(fork.name, "bold")
    yield _told(fork.standing, "red" if fork.stalled else _COLOURS.get(fork.state, "red"))
    yield _rate(rates.received if rates else None)
    yield _rate(rates.written if rates else None)
    yield _count(fork.lag)
    yield Text("-" if fork.event_age is None else _seconds(fork.event_age))
    yield _count(fork.in_flight)
    yield _share(fork)
    yield _count(fork.open_batches)
    yield _count(fork.pollers)
    yield Text(f"{fork.writing}/{'-' if fork.concurrency is None else fork.concurrency}").append(
        _told(f" {fork.concurrency_reason}" if fork.concurrency_reason else "", "dim")
    )
    yield _rate(rates.failed if rates else None)
    yield Text(str(fork.dead), style="red" if fork.dead else "")
    yield _told(_error(fork), "red" if fork.code else "dim")


def _share(fork: ForkStatus) -> Text:
    """Show how much of the budget is used: of events or of bytes, whichever is nearer to its end."""
    shares = [
        held / most
        for held, most in ((fork.in_flight, fork.budget_events), (fork.in_flight_bytes, fork.budget_bytes))
        if most
    ]
    share = max(shares, default=None)
    return Text("-") if share is None else Text(f"{share:.0%}", style="yellow" if share > 0.9 else "")


def _error(fork: ForkStatus) -> str:
    """Name what stands in the way now, else what failed last."""
    if fork.code:
        return f"{fork.code} {fork.detail}" if fork.detail else fork.code
    return fork.dead_letters or fork.last_failure or ""


def _notes(now: Sequence[Sight]) -> Iterable[Text]:
    for sight in now:
        if sight.status is None:
            yield Text("\n").append(_told(f"{sight.name}: {sight.trouble}", "red"))
            continue
        down = sorted(f"worker {name} {state}" for name, state in sight.status.workers.items() if state != "up")
        if down:
            yield Text("\n").append(_told(f"{sight.name}: {', '.join(down)}", "yellow"))


def _told(text: str, style: str) -> Text:
    """Show what a service tells, without what would move the cursor or clear the screen."""
    return Text("".join(character if character.isprintable() else "?" for character in text), style=style)


def _count(value: int | None) -> Text:
    return Text("-" if value is None else f"{value:,}")


def _rate(value: float | None) -> Text:
    return Text("-" if value is None else f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.1f}")


def _seconds(value: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.1f} s" if value >= 0.95 else f"{value * 1000:.0f} ms"
