"""Logs: what they say, and that nothing of an event gets into them by any way that an exception or a library knows."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from forkstream.config.model import LogSettings
from forkstream.errors import PermanentError, TransientError
from forkstream.logs import configure_logs
from forkstream.settings import Secret

CARD = "4111111111111111"


class Stderr(io.StringIO):
    """What a process has written to stderr; a terminal or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.terminal = False
        self._monkeypatch = monkeypatch

    def configure(self, level: Literal["debug", "info", "warning", "error"] = "debug", **settings: Any) -> Any:
        """Configure the logs to come here; returns forkstream's."""
        self._monkeypatch.setattr(sys, "stderr", self)
        configure_logs(LogSettings(level=level, **settings))
        return structlog.get_logger("forkstream")

    def isatty(self) -> bool:
        return self.terminal

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stderr]:
    """Logs go here, and everything that configuring them changes in this process is put back."""
    for owner, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield Stderr(monkeypatch)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_a_machine_reads_json_with_a_time_in_utc(stderr: Stderr) -> None:
    stderr.configure().info("started", forks=["storage-backup", "replay"], run="r1", held=None, seconds=1.5)
    (line,) = stderr.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "started", "level": "info", "forks": ["storage-backup", "replay"], "run": "r1",
        "held": None, "seconds": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("format_", "terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("console", False, False)],
)
def test_a_person_at_a_terminal_reads_text(stderr: Stderr, format_: str, terminal: bool, is_json: bool) -> None:
    stderr.terminal = terminal
    stderr.configure(format=format_).warning("failed", fork="search", events=3)
    text = stderr.getvalue()
    assert text.startswith("{") is is_json
    assert ("\x1b[" in text) is (terminal and not is_json)
    assert "failed" in text
    assert "search" in text


def test_the_level_is_the_least_that_is_shown(stderr: Stderr) -> None:
    log = stderr.configure("warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["event"] for line in stderr.lines] == ["c", "d"]


def refuse() -> None:
    raise ValueError(f"cannot read {CARD}")


def test_an_exception_shows_its_type_and_place_and_not_its_text(stderr: Stderr) -> None:
    log = stderr.configure()
    try:
        refuse()
    except ValueError:
        log.exception("fork failed", fork="search")
    (line,) = stderr.lines
    name, *frames = line["exception"].splitlines()
    assert name == "ValueError"
    assert frames[-1].startswith(f"  {__file__}:")
    assert frames[-1].endswith(" in refuse")
    assert CARD not in stderr.getvalue()


@pytest.mark.parametrize("format_", ["json", "console"])
def test_everything_that_an_exception_came_from_is_shown_alike(stderr: Stderr, format_: str) -> None:
    log = stderr.configure(format=format_)
    try:
        try:
            try:
                refuse()
            except ValueError as error:
                raise ExceptionGroup(CARD, [error, TransientError("throttled", CARD)]) from KeyError(CARD)
        except ExceptionGroup:
            raise RuntimeError(CARD)  # noqa: B904  # its context is what is tested
    except RuntimeError as error:
        error.add_note(CARD)
        log.exception("fork failed")
        log.critical("fork failed", exc_info=error)
        log.critical("fork failed", exc_info=(type(error), error, error.__traceback__))
        log.critical("fork failed", error=error, all=[error])
    text = stderr.getvalue()
    for name in ("RuntimeError", "ExceptionGroup", "ValueError", "TransientError(throttled)", "KeyError", "refuse"):
        assert text.count(name) >= 2
    assert CARD not in text


def test_exceptions_that_come_from_each_other_end(stderr: Stderr) -> None:
    first, second = ValueError(CARD), ValueError(CARD)
    first.__cause__, second.__cause__ = second, first
    stderr.configure().error("fork failed", exc_info=first)
    assert stderr.lines[0]["exception"] == "ValueError\nfrom\nValueError"


def test_a_deep_recursion_is_one_short_line(stderr: Stderr) -> None:
    def deeper(n: int) -> None:
        deeper(n + 1)

    log = stderr.configure()
    try:
        deeper(0)
    except RecursionError:
        log.exception("fork failed")
    assert len(stderr.lines[0]["exception"].splitlines()) == 31


def test_only_a_code_that_looks_like_one_is_shown(stderr: Stderr) -> None:
    stderr.configure().error(
        "failed", error=PermanentError(f"no such card: {CARD}"), other=PermanentError("not_json", CARD)
    )
    (line,) = stderr.lines
    assert (line["error"], line["other"]) == ("PermanentError", "PermanentError(not_json)")


def test_values_that_are_not_plain_show_their_type_alone(stderr: Stderr) -> None:
    class Order:
        def __repr__(self) -> str:
            return CARD

    stderr.configure().info(
        "seen", order=Order(), nested={"orders": (Order(),)}, body=CARD.encode(), token=Secret(CARD)
    )
    assert CARD not in stderr.getvalue()
    assert stderr.lines[0] | {
        "order": "<Order>", "nested": {"orders": ["<Order>"]}, "body": "<bytes>", "token": "********",
    } == stderr.lines[0]  # fmt: skip


def test_libraries_are_heard_from_warning_on_at_any_level(stderr: Stderr) -> None:
    logging.root.setLevel(logging.DEBUG)
    stderr.configure("debug")
    library = logging.getLogger("opensearch")
    assert not library.isEnabledFor(logging.INFO)  # so that it spends nothing on what is not shown
    library.info("a")
    library.setLevel(logging.DEBUG)  # as somebody does who looks for an error in it
    library.debug("> %s", CARD)
    library.warning("b")
    library.critical("c")
    library.setLevel(logging.NOTSET)
    assert [(line["event"], line["level"]) for line in stderr.lines] == [("b", "warning"), ("c", "error")]
    assert stderr.lines[0]["logger"] == "opensearch"
    assert stderr.lines[0]["where"].startswith(f"{__file__}:")


def test_a_librarys_text_is_shown_as_written_without_the_values(stderr: Stderr) -> None:
    stderr.configure()
    library = logging.getLogger("botocore")
    library.warning("cannot send %s to %s", CARD, "a queue")
    library.warning(f"cannot send {CARD}")  # what is tested
    library.warning("cannot send {}".format(CARD))  # noqa: UP032  # what is tested
    library.warning(ValueError(CARD))
    try:
        refuse()
    except ValueError:
        library.exception("cannot send %d", CARD)  # a wrong format, which logging itself would print with its arguments
    assert CARD not in stderr.getvalue()
    withheld = "a text that holds values"
    assert [line["event"] for line in stderr.lines] == [
        "cannot send %s to %s", withheld, withheld, withheld, "cannot send %d",
    ]  # fmt: skip
    assert "refuse" in stderr.lines[-1]["exception"]


def test_a_task_that_nobody_waited_for_is_told_without_its_text(stderr: Stderr) -> None:
    stderr.configure()

    async def main() -> None:
        async def fail(card: str) -> None:
            raise ValueError(card)

        def call(card: str) -> None:
            raise ValueError(card)

        asyncio.get_running_loop().call_soon(call, CARD)
        task = asyncio.create_task(fail(CARD), name=CARD)
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert CARD not in stderr.getvalue()
    events = [line["event"] for line in stderr.lines]
    assert "Task exception was never retrieved" in events
    assert any(event.startswith("Exception in callback") and event.endswith("call") for event in events)
    assert all(line["exception"].startswith("ValueError\n") for line in stderr.lines)


def test_what_nobody_caught_is_told_without_its_text(stderr: Stderr) -> None:
    stderr.configure()

    class Unfinished:
        def __del__(self) -> None:
            refuse()

    Unfinished()
    thread = threading.Thread(target=refuse)
    thread.start()
    thread.join()
    try:
        refuse()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [line["event"] for line in stderr.lines] == ["crashed"] * 3
    assert all("refuse" in line["exception"] for line in stderr.lines)
    assert CARD not in stderr.getvalue()


def test_a_stderr_that_nobody_reads_stops_nothing(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stderr.configure()

    def broken(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(stderr, "write", broken)
    monkeypatch.setattr(stderr, "flush", broken)
    log.info("started")
    logging.getLogger("botocore").warning("a")


def test_a_secret_of_the_config_is_masked_wherever_it_gets_into_a_line(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logs(LogSettings(), ["hunter2'hunter2"])
    log = structlog.get_logger("forkstream")
    log.warning("halted", detail="POST https://hooks/hunter2'hunter2", inner={"a": ["hunter2'hunter2"]})
    (line,) = stderr.lines
    assert line["detail"] == "POST https://hooks/********"
    assert line["inner"] == {"a": ["********"]}
