"""Cases: events that go into a fork, and what has to come out, in YAML beside the config.

    environment: {BACKUP_BUCKET: backup}      # variables of the config; one that is left out stands for its own name
    cases:
      - name: an order is stored without its card
        fork: storage-backup
        events:
          - file: order.json
        objects:
          - key: orders/dt=2026-01-01/*.ndjson.zst.encrypted
            documents:
              - has: {id: 15311}
                lacks: [payment.card-*]

What a case does not mention must not come out: every event that goes in stands somewhere.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from forkstream.config.problem import InvalidConfigError, Problems
from forkstream.config.tree import Node, parse
from forkstream.errors import CommandError, UndecodableError
from forkstream.event import Attribute, Event, decode_json, encode_json
from forkstream.fields.moment import read_moment
from forkstream.fields.paths import Path as FieldPath
from forkstream.rehearsal.mistakes import convert_all

SENT_AT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""When events were sent whose case does not say it, so that dates in object names are the same every day."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Content(_Strict, frozen=True, kw_only=True):
    """A body: ``data`` as YAML, ``body`` as text, ``base64``, or ``file``, a path beside the cases."""

    data: Any = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    base64: bytes | msgspec.UnsetType = msgspec.UNSET
    file: str | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        given = [name for name in ("data", "body", "base64", "file") if getattr(self, name) is not msgspec.UNSET]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are one too many: a body is given in one way")

    def read(self, directory: Path) -> bytes | None:
        """Give the bytes; None if nothing of it is said. Raises :class:`CommandError`."""
        if not isinstance(self.body, msgspec.UnsetType):
            return self.body.encode()
        if not isinstance(self.base64, msgspec.UnsetType):
            return self.base64
        if not isinstance(self.file, msgspec.UnsetType):
            try:
                return (directory / self.file).read_bytes()
            except OSError as error:
                raise CommandError(f"{directory / self.file}: {error.strerror}") from None
        return None if self.data is msgspec.UNSET else encode_json(self.data)


class Given(Content, frozen=True, kw_only=True):
    """One event that goes in. ``id`` is its number where nothing else is said, ``sent_at`` a time or seconds since the epoch.

    An attribute is a text, a number, or ``{type, value}``, where a Binary's value is in base64.
    """

    id: str = ""
    sent_at: str | float = SENT_AT
    attributes: dict[str, Any] = {}
    group: str | None = None

    def __post_init__(self) -> None:
        Content.__post_init__(self)
        self._envelope(1)  # so that what is wrong is told with its place

    def event(self, number: int, directory: Path) -> Event:
        """Make the event."""
        return self._envelope(number).with_(body=self.read(directory) or b"")

    def _envelope(self, number: int) -> Event:
        return Event(
            b"",
            id=self.id or str(number),
            sent_at=_seconds(self.sent_at),
            group=self.group,
            attributes={name: _attribute(value) for name, value in self.attributes.items()},
        )


class Document(Content, frozen=True, kw_only=True):
    """What is due of one document. Only what is said is compared.

    ``data`` (or a file of JSON) is all that it may hold and ``has`` some of it; ``lacks`` are paths at which nothing may be.
    ``event`` is the number of the event that it was, and the others are its place in a search index.
    """

    has: Any = msgspec.UNSET
    lacks: list[str] = []
    event: int | None = None
    partition: str | None = None
    index: str | None = None
    id: str | None = None
    version: int | None = None
    routing: str | None = None

    def __post_init__(self) -> None:
        Content.__post_init__(self)
        for path in self.lacks:
            FieldPath.parse(path)


class Object(_Strict, frozen=True, kw_only=True):
    """What is due of one object: its key, where ``*`` stands for anything, and its documents, read back, in their order."""

    key: str
    documents: list[Document]


class DeadLetter(Document, frozen=True, kw_only=True):
    """What is due of one dead letter: the body is the input of the step that failed. ``event`` and ``code`` say which and why."""

    code: str
    step: str | None = None


class Kept(_Strict, frozen=True, kw_only=True):
    """An event that stays with the source, to come again or for its redrive."""

    event: int
    code: str
    step: str | None = None


class Case(_Strict, frozen=True, kw_only=True):
    """Events that go into a fork, and all that has to come out. ``dropped`` are the numbers of events by reason."""

    name: str
    fork: str
    events: list[Given]
    documents: list[Document] = []
    objects: list[Object] = []
    dropped: dict[str, list[int]] = {}
    dead_letters: list[DeadLetter] = []
    kept: list[Kept] = []


class CaseFile(_Strict, frozen=True, kw_only=True):
    """The whole file."""

    cases: list[Case]
    environment: dict[str, str] = {}


_LISTS: dict[str, type[_Strict]] = {
    "": CaseFile,
    "cases": Case,
    "events": Given,
    "documents": Document,
    "objects": Object,
    "dead_letters": DeadLetter,
    "kept": Kept,
}


class Written(msgspec.Struct, frozen=True):
    """The cases, and where each part of them stands in the file."""

    file: CaseFile
    root: Node


def read_cases(path: Path) -> Written:
    """Read a file of cases; raises :class:`~forkstream.errors.ConfigError` with each of its mistakes."""
    problems = Problems()
    try:
        root = parse(path.read_text(encoding="utf-8-sig"), str(path), problems)
    except OSError as error:
        raise CommandError(
            f"{path}: {error.strerror}; cases stand beside the config, or name them with --cases"
        ) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8 at byte {error.start}; cases are YAML") from None
    file = None if root is None else convert_all(root, CaseFile, _LISTS, problems)
    if root is None or file is None or len(problems):
        raise InvalidConfigError(problems.sorted())
    return Written(file, root)


def _seconds(at: str | float) -> float:
    try:
        return read_moment(at).timestamp() if isinstance(at, str) else at
    except (ValueError, OverflowError):
        message = f"sent_at: expected a time such as 2026-01-31T12:00:00Z, or seconds since the epoch, found {at}"
        raise ValueError(message) from None


def _attribute(value: Any) -> Attribute:
    match value:
        case {"type": str(kind), "value": str(text), **more} if not more:
            return Attribute(kind, base64.b64decode(text) if kind.startswith("Binary") else text)
        case str():
            return Attribute("String", value)
        case int() | Decimal() if not isinstance(value, bool):
            return Attribute("Number", str(value))
    raise ValueError("an attribute is a text, a number or {type, value} with the value as text")


def json_of(body: bytes) -> Any:
    """Decode a body for a comparison; one that is no JSON is compared as its text."""
    try:
        return decode_json(body)
    except UndecodableError:
        return body.decode(errors="replace")
