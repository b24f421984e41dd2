"""Which letters a command names, and by which config."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from forkstream.dlq.letter_id import is_letter_id
from forkstream.dlq.selection import Selection
from forkstream.errors import CommandError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""How every message id of SQS and SNS is written; nobody calls a config like that."""


class Which(msgspec.Struct, frozen=True):
    """What stood before the options: at most one config, letters by their own ids, and by the origin ids of their events."""

    config: str | None
    letters: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def parse(cls, words: Iterable[str] | None, origins: Iterable[str] | None) -> Which:
        """Tell ids from the config, which has the shape of none; raises CommandError where there are two configs."""
        letters, named, others = set(), set(origins or ()), []
        for word in words or ():
            if is_letter_id(word):
                letters.add(word)
            elif _UUID.fullmatch(word):
                named.add(word)
            else:
                others.append(word)
        if len(others) > 1:
            raise CommandError(
                f"expected one config, and letters by their ids, found {', '.join(others)}; "
                "an origin id that is no UUID goes with --origin"
            )
        return cls(others[0] if others else None, frozenset(letters), frozenset(named))

    @property
    def any(self) -> bool:
        """Whether a letter is named at all."""
        return bool(self.letters or self.origins)

    @property
    def doubt(self) -> str:
        """Name what was meant as an id, perhaps, and has the shape of none."""
        if not self.config:
            return ""
        return f"; {self.config} has not the shape of an id (26 capitals and digits, or a UUID) and was taken for the config"

    def selection(self, fork: str, code: str | None = None, since: float | None = None) -> Selection:
        """Select what is named here."""
        return Selection(fork=fork, letters=self.letters, origins=self.origins, code=code, since=since)
