"""A problem of a config: where it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

import msgspec

from forkstream.errors import ConfigError

_MASK = "********"
_SHORTEST_MASKED = 4  # shorter secrets would be masked inside of ordinary words


def masked(text: str, secrets: Collection[str]) -> str:
    """Give a text without the secrets in it, as they are or as an error quotes them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_MASKED:
            text = text.replace(secret, _MASK).replace(repr(secret)[1:-1], _MASK)
    return text


class Place(msgspec.Struct, frozen=True, order=True):
    """Where something was written: ``line`` and ``column`` count from 1, and are 0 for an environment variable."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(msgspec.Struct, frozen=True):
    """One thing that keeps a config from being run."""

    place: Place
    path: str
    """The setting's dotted path: ``forks.storage-backup.batch.max_age``; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


class InvalidConfigError(ConfigError):
    """The problems of a config that was read; ``found`` holds them with their places."""

    def __init__(self, found: list[Problem]) -> None:
        super().__init__([str(problem) for problem in found])
        self.found = found


class Problems:
    """Gathers problems while a config is read, so that all of them are reported at once. No secret gets into one."""

    def __init__(self, secrets: set[str] | None = None) -> None:
        self.secrets: set[str] = set() if secrets is None else secrets
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, path: str, message: str) -> None:
        """Note a problem."""
        self._found.append(Problem(place, path, message))

    def trial(self) -> Problems:
        """Start an empty collection for an attempt that may be given up; it shares the secrets."""
        return Problems(self.secrets)

    def take(self, trial: Problems) -> None:
        """Keep what a trial found."""
        self._found.extend(trial._found)  # of its own class

    def sorted(self) -> list[Problem]:
        """Every problem once, by its place in the file, with every secret masked."""
        return sorted(dict.fromkeys(map(self._masked, self._found)), key=_place_in_order)

    def _masked(self, problem: Problem) -> Problem:
        return Problem(problem.place, problem.path, masked(problem.message, self.secrets))


def _place_in_order(problem: Problem) -> tuple[bool, Place, str]:
    """The file from top to bottom, then the environment."""
    return problem.place.file.startswith("$"), problem.place, problem.path


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Point to the nearest known name, as the end of a message; empty if nothing is near."""
    near = get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""
