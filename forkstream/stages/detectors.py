"""Finding what nobody listed: card numbers and e-mail addresses inside a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

import msgspec

Span: TypeAlias = tuple[int, int]


class Detector(msgspec.Struct, frozen=True):
    """One kind of finding.

    ``find`` gives where each starts and ends in a text, ``spelled`` its one spelling, for equal pseudonyms.
    ``suspect`` is quick: False says that no string, key or number of a JSON text can hold a finding.
    """

    find: Callable[[str], Sequence[Span]]
    spelled: Callable[[str], str]
    suspect: Callable[[bytes], bool]


# ISO/IEC 7812-1 allows 8 to 19 digits; the numbers that card networks give out have 13 to 19.
_SHORTEST: Final = 13
_LONGEST: Final = 19

# Up to three spaces or dashes of any kind may part two digits. No separator is a digit, so nothing here backtracks far.
_APART: Final = r"[\s\-\u00ad\u2010-\u2015\u2212]{0,3}"
_DIGITS: Final = re.compile(rf"\d(?:{_APART}\d){{{_SHORTEST - 1},}}+")
_GROUP: Final = re.compile(r"\d+")
_NO_DIGIT: Final = re.compile(r"\D+")
_VALUES: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(bytes(range(10)), bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))
# The quick look at ASCII: separators and the marks of numbers deleted, every digit a 0, so that a search for zeros does.
_MARKS: Final = b" \t\n\r\v\f\x1c\x1d\x1e\x1f-+."
_SHAPES: Final = bytes.maketrans(b"123456789E", b"000000000e")
_ZEROS: Final = b"0" * _SHORTEST
_AT, _BACKSLASH = b"@\\"
"""Numbers, which are found in bytes in a sixth of the time that a part of one byte takes."""

# RFC 5322 atoms and the letters of any script (RFC 6531). What stands before the @ is read backwards from there, since
# an atom may hold nearly every separator that a list of addresses has: a@example.com|b@example.com.
_DOMAIN: Final = re.compile(r"@(?:[\w-]++\.)+[\w-]+")
_LOCAL_BACKWARDS: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]++")


def find_emails(text: str) -> list[Span]:
    """Find e-mail addresses: where each starts and ends."""
    if "@" not in text:
        return []
    spans: list[Span] = []
    free = 0  # from where on a text before an @ can be part of its address
    for domain in _DOMAIN.finditer(text):
        local = _LOCAL_BACKWARDS.match(text[free : domain.start()][::-1])
        if local:
            spans.append((domain.start() - local.end(), domain.end()))
        free = domain.end() if local else domain.start() + 1
    return spans


def find_card_numbers(text: str) -> list[Span]:
    """Find card numbers: 13 to 19 digits that pass the Luhn check, in one piece or in groups parted by spaces or dashes.

    A number starts and ends where a group does (leading zeros aside), since a tenth of all digit runs passes the check:
    in a longer piece of digits something would nearly always be found. Numbers that overlap make one finding.
    """
    if len(text) < _SHORTEST or (text.isascii() and _ZEROS not in text.encode().translate(_SHAPES, _MARKS)):
        return []
    return [span for run in _DIGITS.finditer(text) for span in _cards_in_run(text, run.start(), run.end())]


def _cards_in_run(text: str, run_start: int, run_end: int) -> list[Span]:
    groups = [match.span() for match in _GROUP.finditer(text, run_start, run_end)]
    ends = list(accumulate(end - start for start, end in groups))
    digits = _digits(text[run_start:run_end]).encode().translate(_VALUES)
    sums = _luhn_sums(digits)
    spans: list[Span] = []
    nearest = first = 0
    for (start, end), group_end in zip(groups, ends, strict=True):
        first = max(first, group_end - (end - start))
        while first < len(digits) and not digits[first]:
            first += 1
        while nearest < len(ends) and ends[nearest] < first + _SHORTEST:
            nearest += 1
        for number, last in enumerate(ends[nearest : nearest + _LONGEST - _SHORTEST + 1], nearest):
            doubled = sums[last % 2]
            if last <= first + _LONGEST and (doubled[last] - doubled[first]) % 10 == 0:
                spans.append((start, groups[number][1]))
    return _merged(spans)


def _luhn_sums(digits: bytes) -> tuple[list[int], list[int]]:
    """Add up the digits from the left with every second one doubled, the even places in one list and the odd in the other.

    So the check of any number in a run is one subtraction (see ISO/IEC 7812-1 annex B: from its right end, the second
    digit and every second one after it are doubled), and a long text of digits costs no more than its length.
    """
    even, odd = bytearray(digits), bytearray(digits)
    even[::2] = even[::2].translate(_DOUBLED)
    odd[1::2] = odd[1::2].translate(_DOUBLED)
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))


def _merged(spans: list[Span]) -> list[Span]:
    """Make one of spans that overlap; they come by their start."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _digits(text: str) -> str:
    digits = _NO_DIGIT.sub("", text)
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _may_hold_card_number(data: bytes) -> bool:
    if _BACKSLASH in data or not data.isascii():
        return True
    shapes = data.translate(_SHAPES, _MARKS)
    return _ZEROS in shapes or b"0e0" in shapes


def _may_hold_email(data: bytes) -> bool:
    return _AT in data or _BACKSLASH in data


CARD_NUMBERS: Final = Detector(find_card_numbers, _digits, _may_hold_card_number)
"""Spelled as its digits alone, so that spaces and dashes make no other number of it."""

EMAILS: Final = Detector(find_emails, str.casefold, _may_hold_email)
"""Spelled in lower case, as mail servers treat it."""
