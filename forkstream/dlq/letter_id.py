"""The ids of dead letters: ULIDs, which say when they were made."""

from __future__ import annotations

import re

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHAPE = re.compile(f"[0-7][{_ALPHABET}]{{25}}")
_RANDOM_BITS = 80


def is_letter_id(text: str) -> bool:
    """Whether this can be a letter's id. It becomes a part of file names and keys, so nothing else is taken for one."""
    return _SHAPE.fullmatch(text) is not None


def written_at(letter: str) -> float:
    """Seconds since the epoch at which a letter's id was made, a moment before it was written."""
    number = 0
    for character in letter:
        number = number << 5 | _ALPHABET.index(character)
    return (number >> _RANDOM_BITS) / 1000
