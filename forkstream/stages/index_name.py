"""Names of search indexes: a pattern with fields of the event, and a suffix that rotates with time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

from forkstream.errors import PermanentError
from forkstream.event import Event
from forkstream.fields.required_field import RequiredField

Rotation: TypeAlias = Literal["none", "hour", "day", "week", "month"]

MAX_NAME = 80
"""Characters of a name without its suffix, as in Firehose's ``IndexName``."""
MAX_BYTES = 255
"""Bytes of a whole name, see "Index naming restrictions" in OpenSearch's documentation."""
_FORBIDDEN = frozenset('\\/*?"<>| ,#:')
_FORBIDDEN_FIRST = frozenset("_-+.")
_ORDINARY = re.compile(rf"[a-z0-9][a-z0-9_.+-]{{0,{MAX_NAME - 1}}}")
"""What nearly every name looks like, and nothing is wrong with: told faster than by the full list."""
_FIELD = re.compile(r"\{([^{}]*)\}")


def _week(moment: datetime) -> str:
    year, week, _ = moment.isocalendar()  # the year that the week belongs to: 2026-12-31 is in 2026-w53
    return f"-{year:04}-w{week:02}"


_SUFFIX: dict[Rotation, Callable[[datetime], str]] = {
    "none": lambda _: "",
    "hour": lambda moment: f"-{moment.year:04}-{moment.month:02}-{moment.day:02}-{moment.hour:02}",
    "day": lambda moment: f"-{moment.year:04}-{moment.month:02}-{moment.day:02}",
    "week": _week,
    "month": lambda moment: f"-{moment.year:04}-{moment.month:02}",
}
"""What Firehose appends to an index name for each of its rotation periods."""


class IndexName:
    """The index that an event belongs to: ``orders-{type}``, with the rotation's suffix of a moment in UTC.

    Raises ValueError for a pattern that no event could make a valid name of.
    """

    def __init__(self, pattern: str, rotation: Rotation) -> None:
        self._suffix = _SUFFIX[rotation]
        *_, last = parts = _FIELD.split(pattern)  # text, path, text, path, …, text
        self._pieces = [(text, RequiredField(path)) for text, path in zip(parts[::2], parts[1::2], strict=False)]
        self._last = last
        self.fixed = last if rotation == "none" and not self._pieces else None
        """The one index of all events; None if they choose theirs."""
        if set("{}").intersection("".join(parts[::2])):
            raise ValueError(f"index name {pattern!r}: a brace has no partner; a field is written {{customer.id}}")
        sample = "".join(f"{text}x" for text, _ in self._pieces) + last
        if problem := _problem(sample, ""):
            raise ValueError(f"index name {pattern!r}: {problem}")

    def __call__(self, event: Event, moment: datetime) -> str:
        """Give the index of an event; raises :class:`PermanentError` if its name would be invalid."""
        suffix = self._suffix(moment)
        if not self._pieces:
            return self._last + suffix
        name = "".join([text + _text(field, event) for text, field in self._pieces]) + self._last
        if problem := _problem(name, suffix):
            raise PermanentError("invalid_index_name", f"{name!r:.300}: {problem}")
        return name + suffix


def _text(field: RequiredField, event: Event) -> str:
    value = field(event)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise PermanentError("invalid_index_name", f"{field}: a {type(value).__name__} cannot be part of a name")


def _problem(name: str, suffix: str) -> str | None:
    """Say what OpenSearch, or the limit of 80 characters, has against a name; None if nothing."""
    if _ORDINARY.fullmatch(name):
        return None
    wrong = "".join(sorted(_FORBIDDEN.intersection(name)))
    found = (
        (not name, "it is empty"),
        (len(name) > MAX_NAME, f"it is longer than {MAX_NAME} characters"),
        (len((name + suffix).encode()) > MAX_BYTES, f"it is longer than {MAX_BYTES} bytes with its suffix"),
        # OpenSearch takes a dot, for hidden indexes and its own: no event may choose one of those
        (name[:1] in _FORBIDDEN_FIRST, f"it starts with {name[:1]!r}"),
        (name != name.lower(), "it is not lower case"),
        (wrong, f"it has some of {wrong!r}"),
        (not name.isprintable(), "it has a character that cannot be printed"),
    )
    return next((problem for holds, problem in found if holds), None)
