"""PostgreSQL's errors as the three kinds that a sink can have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from forkstream.errors import PermanentError, TransientError, UnavailableError

_TRANSIENT = ("08", "40", "53", "55P03", "57")
"""Connection lost, conflict or deadlock, out of resources, lock not given in time, shutting down or cancelled."""
_EVENTS_FAULT = ("22", "23")
"""A value that its type or a constraint does not take."""


@contextmanager
def translating(table: str) -> Iterator[None]:
    """Give every error of PostgreSQL and of the way to it its kind, see "PostgreSQL Error Codes" for the classes.

    What a value has done wrong names the column, in ``detail`` alone, since PostgreSQL quotes the value.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        state: str = error.sqlstate or ""
        if state.startswith(_TRANSIENT):
            raise TransientError(_code(error)) from None
        if state.startswith(_EVENTS_FAULT):
            raise PermanentError(_code(error), f"{table}: {error}") from None
        raise UnavailableError(_code(error), f"{table}: {error}") from None
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # nothing listens, the connection broke, or it was closed on us, which asyncpg may see in mid-request as a state
        # of its own that cannot be; TimeoutError is an OSError
        raise TransientError("unreachable", f"{table}: {type(error).__name__}") from None


def _code(error: asyncpg.PostgresError) -> str:
    """``UniqueViolationError`` is ``unique_violation``."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_") or "postgres"
