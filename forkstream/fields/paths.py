"""Paths into a JSON body: how a config names the values that a stage works on.

    payment.card-number      a key of an object, keys with dots between
    payment.card-*           ``*`` stands for any run of characters within one key
    shipments.*.address      so a ``*`` alone is any key
    items[*].note            every element of an array; ``items[0].note`` the first one only
    [*].note                 the body itself is an array
    payment."card.number"    a quoted part is a JSON string and stands for itself, dots, spaces and ``*`` included

Keys compare exactly; a stage that compares them in any case says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

WHAT_FITS: Final = (
    'write keys with dots between, as in payment.card-*, items[*].note, items[0].note, payment."card.number"'
)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_BARE = r'[^"*\[\].\s\\]+'
_PART = re.compile(rf"(?P<quoted>{_QUOTED}) | (?P<bare>{_BARE}) | (?P<star>\*)", re.VERBOSE | re.DOTALL)
_KEY = re.compile(rf"(?:{_QUOTED} | {_BARE} | \*(?!\*))+", re.VERBOSE | re.DOTALL)
_INDEX = re.compile(r"\[(?:\*|([0-9]{1,9}))\]")


class Key(msgspec.Struct, frozen=True):
    """One step into an object: the pieces of a key between its wildcards, so ``card-*`` is ``("card-", "")``."""

    pieces: tuple[str, ...]

    @classmethod
    def glob(cls, text: str) -> Key:
        """Read a key where ``*`` is the only special character, as in the name of a message attribute."""
        return cls(tuple(re.split(r"\*+", text)))

    @property
    def literal(self) -> str | None:
        """The one key that this step names, None if it has a wildcard."""
        return self.pieces[0] if len(self.pieces) == 1 else None

    def folded(self) -> Key:
        """Give the step that :meth:`matches` case-folded keys: hand it ``key.casefold()``."""
        return Key(tuple(piece.casefold() for piece in self.pieces))

    def matches(self, key: str) -> bool:
        """Tell whether this step names ``key``; linear in the key's length, whatever the wildcards."""
        first, *middle = self.pieces
        if not middle:
            return key == first
        last = middle.pop()
        if not key.startswith(first):
            return False
        position = len(first)
        for piece in middle:
            found = key.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
        return len(key) - len(last) >= position and key.endswith(last)

    def __str__(self) -> str:
        return "*".join(_spelled(piece) for piece in self.pieces) if self.pieces != ("",) else '""'


class Index(msgspec.Struct, frozen=True):
    """One step into an array: the position, from 0, or None for every element."""

    position: int | None

    def matches(self, position: int) -> bool:
        """Tell whether this step names the element at ``position``."""
        return self.position is None or self.position == position

    def __str__(self) -> str:
        return "[*]" if self.position is None else f"[{self.position}]"


Step: TypeAlias = Key | Index


class Path(msgspec.Struct, frozen=True):
    """A path, read once from its text: see the head of this file for the language."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read a path; raises ValueError that names it, where it went wrong and what would fit."""
        try:
            return cls(tuple(_steps(text)))
        except ValueError as error:
            raise ValueError(f"path {text!r}: {error}; {WHAT_FITS}") from None

    @property
    def is_literal(self) -> bool:
        """True if the path has no wildcard, so that it names one value at most."""
        return all(
            step.literal is not None if isinstance(step, Key) else step.position is not None for step in self.steps
        )

    def __str__(self) -> str:
        """Spell the path so that it parses back to itself."""
        text = ""
        for step in self.steps:
            text += f".{step}" if text and isinstance(step, Key) else str(step)
        return text


def _spelled(piece: str) -> str:
    bare = not piece or (re.fullmatch(_BARE, piece) and piece[0] not in "$/")
    return piece if bare else msgspec.json.encode(piece).decode()


def _steps(text: str) -> Iterator[Step]:
    if text.startswith(("$", "/")):
        raise ValueError(
            f"it starts with its first key, without a {text[0]!r} for the whole (quote a key that has one)"
        )
    position = 0
    while position < len(text) or not position:
        index = _INDEX.match(text, position)
        if index:
            yield Index(int(index[1]) if index[1] else None)
            position = index.end()
            continue
        if position and text[position] != ".":
            raise ValueError(f"{text[position]!r} at character {position + 1} needs quotes or is out of place")
        key = _KEY.match(text, position + 1 if position else 0)
        if not key:
            raise ValueError(f"there is no key where one should be, after character {position + 1 if position else 0}")
        yield Key(_pieces(key[0]))
        position = key.end()


def _pieces(text: str) -> tuple[str, ...]:
    pieces = [""]
    for part in _PART.finditer(text):
        if part.lastgroup == "star":
            pieces.append("")
        else:
            pieces[-1] += msgspec.json.decode(part[0], type=str) if part.lastgroup == "quoted" else part[0]
    return tuple(pieces)
