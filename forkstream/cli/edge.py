"""What a person sees of an error that ends a command: what happened and what to do, without a traceback."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator

from forkstream.errors import CommandError, ConfigError, DeliveryError, ForkstreamError, PluginError, UnavailableError

_TELLING = (ConfigError, PluginError, CommandError, UnavailableError, ForkstreamError, OSError, Exception)
"""Of several errors at once, the first kind here is the one that a person can act on."""


def report(error: BaseException) -> int:
    """Print the error to stderr; returns the exit code."""
    errors = list(_leaves(error))
    telling = min(errors, key=_usefulness)
    for line in _lines(telling):
        print(line, file=sys.stderr)
    if len(errors) > 1:
        print(f"(and {len(errors) - 1} more; FORKSTREAM_DEBUG=1 shows them all)", file=sys.stderr)
    refused = isinstance(telling, ForkstreamError) and not isinstance(telling, DeliveryError)
    unusable = isinstance(telling, OSError) and telling.filename is not None  # what somebody named
    return 2 if refused or unusable else 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors within groups of errors, which task groups raise."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _usefulness(error: BaseException) -> int:
    return next((rank for rank, kind in enumerate(_TELLING) if isinstance(error, kind)), len(_TELLING))


def _lines(error: BaseException) -> Iterator[str]:
    match error:
        case ConfigError(problems=problems):
            yield from problems
        case UnavailableError():
            yield f"unavailable: {error.code}{f' ({error.detail})' if error.detail else ''}"
        case DeliveryError():
            yield f"failed: {error.code}"  # its detail may quote an event
        case ForkstreamError():
            yield str(error)
        case OSError(strerror=str(reason)):
            yield f"{error.filename}: {reason}" if error.filename else reason
        case _:
            yield f"unexpected {type(error).__name__}{_origin(error)}"
            yield "this is a bug; FORKSTREAM_DEBUG=1 shows it whole (its text may quote events)"


def _origin(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
