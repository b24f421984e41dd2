"""The logs: where they go, how they look, and what never gets into them."""

from __future__ import annotations

import inspect
import logging
import re
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

import msgspec
import structlog

from forkstream.config.model import LogSettings
from forkstream.config.problem import masked
from forkstream.errors import DeliveryError
from forkstream.settings import Secret

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

MOST_FRAMES = 30
"""Frames shown of one exception: its innermost."""
_CODE = re.compile(r"[a-z0-9_A-Z]{1,80}")


def configure_logs(settings: LogSettings, secrets: Collection[str] = ()) -> None:
    """Send all logs of this process to stderr, a line each: for people on a terminal, JSON elsewhere.

    No event gets into them by a library: of an exception only its type, its place and, where it is forkstream's own,
    its code are shown, since its text may quote one; of other people's log lines (botocore, aiohttp, opensearch-py)
    only warnings, without their arguments, at any level. ``secrets`` are masked wherever one gets into a line.
    """
    on_terminal = sys.stderr.isatty()
    as_text = settings.format == "console" or (settings.format == "auto" and on_terminal)
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=on_terminal, exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer(serializer=lambda line, **_: msgspec.json.encode(line).decode())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            *([partial(_without_secrets, secrets)] if secrets else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr(sys.stderr))),
    )
    _adopt_other_logs()
    _adopt_last_words()


class _Stderr:
    """Stderr, but where nobody reads it any more, or its disk is full, lines are lost instead of events."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _adopt_other_logs() -> None:
    handler = _Foreign(logging.WARNING)  # libraries log the bodies of requests below that
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.raiseExceptions = False  # what it prints of a line that cannot be logged holds the line's arguments


class _Foreign(logging.Handler):
    """Writes what others log: the text as it stands in their code, without the values that they put into it."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger("forkstream")
        write = log.error if record.levelno >= logging.ERROR else log.warning
        where = f"{record.pathname}:{record.lineno}"
        write(_written(record), logger=record.name, where=where, exc_info=record.exc_info)


def _written(record: logging.LogRecord) -> str:
    """Tell the text as it was written, before any value came in: it is a constant of the code that logs it."""
    text = str(record.msg)
    if (
        record.name == "asyncio" and not record.args
    ):  # it shows what was called with what: `Exception in callback f(...)`
        return re.split(r"\(| <|\n", text)[0]
    frame = inspect.currentframe()
    while frame and (frame.f_code.co_filename, frame.f_lineno) != (record.pathname, record.lineno):
        frame = frame.f_back
    return text if frame and text in frame.f_code.co_consts else "a text that holds values"


def _adopt_last_words() -> None:
    """Log what nobody caught, in any thread and in any finalizer; the interpreter would print its text."""

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            structlog.get_logger("forkstream").critical("crashed", exc_info=(kind, error, trace))

    def thread_crashed(args: threading.ExceptHookArgs) -> None:
        if args.exc_value:
            crashed(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value:
            crashed(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = crashed
    threading.excepthook = thread_crashed
    sys.unraisablehook = unraisable


def _without_values(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Show exceptions without their texts, and of any value that isn't plain only its type."""
    error = _error(line.pop("exc_info", None))
    shown = {name: _plain(value) for name, value in line.items()}
    if error:
        shown["exception"] = "\n".join(_lines(error, set()))
    return shown


def _without_secrets(secrets: Collection[str], _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {name: _masked(value, secrets) for name, value in line.items()}


def _masked(value: Any, secrets: Collection[str]) -> Any:
    match value:
        case str():
            return masked(value, secrets)
        case dict():
            return {name: _masked(inner, secrets) for name, inner in value.items()}
        case list():
            return [_masked(inner, secrets) for inner in value]
        case _:
            return value


def _error(exc_info: object) -> BaseException | None:
    """Find the exception that a log line is about, in any of the ways to say so."""
    if isinstance(exc_info, BaseException):
        return exc_info
    found = exc_info if isinstance(exc_info, tuple) else sys.exc_info() if exc_info else ()
    return next((each for each in found if isinstance(each, BaseException)), None)


def _plain(value: object) -> Any:
    match value:
        case Secret():
            return "********"
        case bool() | int() | float() | str() | None:
            return value
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case BaseException():
            return _name(value)
        case _:
            return f"<{type(value).__name__}>"


def _name(error: BaseException) -> str:
    """Name an exception: ``ValueError``, ``TransientError(throttled)``."""
    code = error.code if isinstance(error, DeliveryError) else ""
    return type(error).__qualname__ + (f"({code})" if _CODE.fullmatch(code) else "")


def _lines(error: BaseException, seen: set[int], indent: str = "") -> Iterator[str]:
    """Tell where an exception came from, then the same of what it came from, and of every one in a group."""
    seen.add(id(error))
    yield indent + _name(error)
    for frame in _frames(error.__traceback__):
        yield f"{indent}  {frame}"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _lines(inner, seen, f"{indent}  | ")
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if origin and id(origin) not in seen:
        yield f"{indent}from"
        yield from _lines(origin, seen, indent)


def _frames(trace: TracebackType | None) -> list[str]:
    frames = []
    while trace:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_qualname}")
        trace = trace.tb_next
    return frames[-MOST_FRAMES:]
