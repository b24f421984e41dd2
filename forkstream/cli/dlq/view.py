"""Dead letters as people and machines see them. Bodies and details are shown by ``show`` alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from forkstream.cli.aligned import aligned
from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.newest import Newest
from forkstream.dlq.report import Outcome, Report, Result
from forkstream.dlq.standing import Standing, State
from forkstream.dlq.store import Store
from forkstream.errors import UndecodableError
from forkstream.event import decode_json

_COLUMNS = ("id", "origin id", "code", "fork", "step", "time", "receives", "age", "redriven")
MAX_LINES = 20
"""Letters that a redrive names one by one; of more it gives the numbers. ``--json`` has all of them."""


def show_list(newest: Newest, *, now: float) -> None:
    """Print a table of letters, and what else there is. Nothing in it is cut, since ids are there to be copied."""
    rows = [_COLUMNS, *[_cells(entry, now) for entry in newest.entries]]
    for line in aligned(rows) if newest.entries else ():
        print(line)
    if newest.more:
        print(f"\nthe newest {len(newest.entries)}; there are more (--limit)")
    elif not newest.entries:
        print("no dead letters")
    warn_unreadable(newest.unreadable)


def list_json(newest: Newest, fork: str, store: Store) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "fork": fork,
        "store": store.name,
        "letters": [_row(entry) for entry in newest.entries],
        "more": newest.more,
        "unreadable": msgspec.to_builtins(newest.unreadable),
        "notes": store.notes,
    }


async def whole(entry: Entry, store: Store, *, exact: bool) -> bytes:
    """Give a letter as indented JSON, with what was done with it since.

    Unless ``exact``, a body that is JSON stands as JSON in it, its digits untouched.
    """
    letter = msgspec.to_builtins(entry.letter)
    if not exact and entry.letter.body is not None:
        with suppress(UndecodableError):
            body = entry.letter.body.encode()
            decode_json(body)
            letter["body"] = msgspec.Raw(body)
    letter["place"] = entry.place
    letter["state"] = entry.standing.state.value
    letter["redrives"] = await store.history(entry.letter.letter)
    return msgspec.json.format(msgspec.json.encode(letter), indent=2) + b"\n"


def show_report(report: Report, *, detail: bool) -> None:
    """Print what a redrive has come to: the letters that need somebody, then the numbers."""
    notable = [result for result in report.results if not result.outcome.good or len(report.results) <= MAX_LINES]
    for result in notable[:MAX_LINES]:
        print(_printable(_line(result, detail=detail)))
    if len(notable) > MAX_LINES:
        print(f"… and {len(notable) - MAX_LINES} more (--json shows them all)")
    print(_counts(report))
    if report.counts[Outcome.INTERRUPTED]:
        warn(
            "an interrupted letter may have been sent or not: look where it would be, and only then redrive it --again"
        )
    if report.trouble:
        warn(f"stopped: {report.trouble}; what was not tried stays as it was")
    warn_unreadable(report.unreadable)


def report_json(report: Report, fork: str, store: Store, *, detail: bool) -> dict[str, Any]:
    """The same for a machine."""
    letters = [msgspec.to_builtins(result) for result in report.results]
    if not detail:
        for letter in letters:
            del letter["detail"]
    return {
        "fork": fork,
        "store": store.name,
        "counts": {outcome.value: count for outcome, count in report.counts.items()},
        "letters": letters,
        "trouble": report.trouble,
        "unreadable": msgspec.to_builtins(report.unreadable),
        "notes": store.notes,
    }


def print_json(value: Any) -> None:
    """Print JSON, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def warn(*texts: str) -> None:
    """Say something beside the result."""
    for text in texts:
        print(_printable(text), file=sys.stderr)


def warn_unreadable(unreadable: Sequence[Unreadable]) -> None:
    """Name what could not be read."""
    for one in unreadable[:MAX_LINES]:
        warn(f"skipped {one.place}: {one.code}{f' ({one.detail})' if one.detail else ''}")
    if len(unreadable) > MAX_LINES:
        warn(f"… and {len(unreadable) - MAX_LINES} more were skipped")


@contextmanager
def progress(doing: str, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something goes on; hands out what says more about it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(_printable(doing), total=None)
        yield lambda text: bar.update(task, description=_printable(f"{doing}: {text}"))


async def follow(report: Report, say: Callable[[str], None]) -> None:
    """Say how far a redrive has come, for as long as it lasts."""
    while True:
        await anyio.sleep(0.2)
        failure = f", last failure {report.last_failure}" if report.last_failure else ""
        say(_counts(report) + failure)


def no_such_letter(store: Store, ids: Collection[str]) -> str:
    """Say that these ids name no letter of the fork here, and where those are that do."""
    return f"no such letter of this fork in {store.name}: {', '.join(sorted(ids))}; `forkstream dlq list` shows all there are"


def _cells(entry: Entry, now: float) -> tuple[str, ...]:
    letter = entry.letter
    moment = f"{datetime.fromtimestamp(letter.time, UTC):%Y-%m-%dT%H:%M:%SZ}"
    cells = (letter.letter, letter.id, letter.code, letter.fork, letter.step, moment, str(letter.receive_count))
    return (*map(_printable, cells), _age(now - letter.time), _standing(entry.standing))


def _row(entry: Entry) -> dict[str, Any]:
    letter = entry.letter
    return {
        "id": letter.letter,
        "origin_id": letter.id,
        "code": letter.code,
        "fork": letter.fork,
        "step": letter.step,
        "time": letter.time,
        "receive_count": letter.receive_count,
        "place": entry.place,
        "state": entry.standing.state.value,
        "redrives": entry.standing.attempts,
        "redrive_code": entry.standing.code,
    }


def _counts(report: Report) -> str:
    counts = report.counts
    return (
        ", ".join(f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome]) or "no dead letters"
    )


def _line(result: Result, *, detail: bool) -> str:
    code = f": {result.code}" if result.code else ""
    return f"{result.letter}  {result.step}  {result.outcome.value}{code}" + (
        f" ({result.detail})" if detail and result.detail else ""
    )


def _standing(standing: Standing) -> str:
    if standing.state is State.WAITING:
        return ""
    return f"{standing.state.value}: {standing.code}" if standing.code else f"{standing.state.value}"


def _age(seconds: float) -> str:
    """In the largest unit of which there are two: 90s, then 2m; 119m, then 2h."""
    whole = max(0, int(seconds))
    size, unit = next((each for each in ((86400, "d"), (3600, "h"), (60, "m")) if whole >= 2 * each[0]), (1, "s"))
    return f"{whole // size}{unit}"


def _printable(text: str) -> str:
    """A letter comes from wherever its bucket is written: nothing in it may steer a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
