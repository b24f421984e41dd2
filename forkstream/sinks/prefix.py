"""The first part of an object's key: time and event fields, rendered once per event."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2s
from typing import Annotated
from urllib.parse import quote

import msgspec

from forkstream.event import Event
from forkstream.fields.field import Field, Found
from forkstream.settings import Settings

_TIME_CODES = "YmdHMjGV"
_PIECE = re.compile(r"(?P<code>%.?)|(?P<field>\{[^{}]*\})|(?P<brace>[{}])|(?P<text>[^%{}]+)", re.DOTALL)

_KEY_BYTES = 1024 - 256
"""An S3 key has at most 1024 bytes (see "Naming Amazon S3 objects"); 256 are left to the object's name and suffixes."""
_NAME_BYTES = 255 - 96
"""A file's or directory's name has at most 255 bytes (NAME_MAX); 96 are left, since a prefix can end within a name."""
_VALUE_BYTES = 128
_SHORTEST_VALUE = 26  # what is missing fits too
_CACHED = 1024


class PrefixSettings(Settings):
    """What sinks of objects have in common: where an object's key begins."""

    prefix: Annotated[
        str,
        msgspec.Meta(
            description="start of every object's key, with its slashes: text, the time an event was sent (UTC, "
            f"{', '.join(f'%{code}' for code in _TIME_CODES)}; %% is a percent sign) and fields of the event "
            "({customer.id}, {attributes.kind}); events of different prefixes go to different objects"
        ),
    ] = ""
    missing: Annotated[
        str,
        msgspec.Meta(
            description="stands in the prefix for a field that is absent, null, empty or no single value; the default is "
            "what Hive and Athena read as null",
            pattern=r"^[A-Za-z0-9_.~-]*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*$",
            max_length=_SHORTEST_VALUE,
        ),
    ] = "__HIVE_DEFAULT_PARTITION__"


class Prefix:
    """A compiled prefix: called with an event, it gives where the event's object goes.

    A value of an event cannot leave its place: whatever is not a letter, a digit or one of ``-._~`` is
    percent-encoded, a value of dots alone too, and a long one is cut and ends in a digest, so that different values
    stay different and a key stays within S3's 1024 bytes and a name within a file system's 255.
    """

    def __init__(self, settings: PrefixSettings) -> None:
        """Compile; raises ValueError with what is wrong and what would fit."""
        self._texts, self._fields = _parse(settings.prefix)
        _refuse_bad_parts(settings.prefix)
        self._missing = settings.missing
        self._value_bytes = _room_for_values(settings.prefix)
        codes = {code for text in self._texts for code in re.findall("%(.)", text)} - {"%"}
        # the time part is the same for all events of a minute or an hour, so most events cost one look-up
        self._tick = 60 if "M" in codes else 3600 if codes else None
        self._render = lru_cache(_CACHED)(self._render_uncached)

    def __call__(self, event: Event) -> str:
        """Render; raises :class:`~forkstream.errors.UndecodableError` if a field is in a body that is not JSON."""
        tick = 0 if self._tick is None else int(event.sent_at // self._tick)
        if not self._fields:
            return self._render(tick)
        return self._render(tick, *[_spelled(field(event)) for field in self._fields])

    @property
    def fixed(self) -> str:
        """Up to its last slash, the part that every rendered prefix begins with."""
        known = re.match(r"(?:[^%]|%%)*", self._texts[0])
        assert known  # noqa: S101  # it matches nothing at all too
        return known[0].replace("%%", "%").rpartition("/")[0] + "/" if "/" in known[0] else ""

    def _render_uncached(self, tick: int, *values: str) -> str:
        at = datetime.fromtimestamp(tick * (self._tick or 0), UTC)
        parts = [_at_time(self._texts[0], at)]
        for value, text in zip(values, self._texts[1:], strict=True):
            parts += self._safe(value), _at_time(text, at)
        return "".join(parts)

    def _safe(self, value: str) -> str:
        if not value:
            return self._missing
        encoded = quote(value, safe="", errors="surrogatepass")
        if not encoded.strip("."):
            encoded = encoded.replace(".", "%2E")
        if len(encoded) <= self._value_bytes:
            return encoded
        digest = blake2s(value.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        kept = encoded[: self._value_bytes - len(digest) - 1]
        return f"{re.sub('%.?$', '', kept)}~{digest}"  # not cut within a %2F


def _spelled(value: Found) -> str:
    """Write a value as JSON would, a string without its quotes; what is no single value is spelled as nothing."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
    return ""


def _parse(pattern: str) -> tuple[list[str], list[Field]]:
    """Take a pattern apart: the texts between its fields, in strftime's language, and the fields."""
    texts, fields = [""], []
    for match in _PIECE.finditer(pattern):
        piece, kind = match[0], match.lastgroup
        if kind == "code" and piece[1:] not in {"%", *_TIME_CODES}:
            known = ", ".join(f"%{code}" for code in _TIME_CODES)
            raise ValueError(
                f"prefix {pattern!r}: {piece!r} is no time code; known are {known} and %% for a percent sign"
            )
        if kind == "brace":
            raise ValueError(f"prefix {pattern!r}: a brace has no partner; a field is written {{customer.id}}")
        if kind == "field":
            fields.append(Field(piece[1:-1]))
            texts.append("")
        else:
            texts[-1] += piece
    return texts, fields


def _room_for_values(pattern: str) -> int:
    """Share what a key, and each part of it between slashes, has room for among the fields in it: bytes for each value."""
    rooms = [_VALUE_BYTES]
    whole = re.sub(r"\{[^{}]*\}", "\0", pattern)
    for text, space in [(whole, _KEY_BYTES), *[(part, _NAME_BYTES) for part in whole.split("/")]]:
        fields = text.count("\0")
        left = space - len(_at_time(text.replace("\0", ""), datetime(2000, 12, 31, tzinfo=UTC)).encode())
        if left < fields * _SHORTEST_VALUE:
            raise ValueError(f"prefix {pattern!r}: {space} bytes have to hold {text!r} and {fields} values; shorten it")
        rooms += [left // fields] if fields else []
    return min(rooms)


def _refuse_bad_parts(pattern: str) -> None:
    *directories, _ = re.sub(r"\{[^{}]*\}", "x", pattern).split("/")
    for name in directories:
        if name in ("", ".", ".."):
            raise ValueError(f"prefix {pattern!r}: {name + '/'!r} is no part of a key; write it like orders/%Y-%m-%d/")


def _at_time(text: str, at: datetime) -> str:
    return re.sub(r"%(.)", lambda code: "%" if code[1] == "%" else at.strftime(code[0]), text)
