"""Settings that come from the environment: ``FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE=30s``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Self

from forkstream.config.problem import Place, Problems, did_you_mean
from forkstream.config.tree import Scalar

PREFIX = "FORKSTREAM_"
RESERVED = frozenset({"CONFIG", "DEBUG", "LOG_FORMAT", "LOG_LEVEL", "STOP_TIMEOUT"})
"""What has a meaning of its own after the prefix and is no setting of the file."""


def fold(name: str) -> str:
    """Spell a setting's or a fork's name as in an environment variable."""
    return name.upper().replace("-", "_")


class Overrides:
    """The overrides at or below one setting; ``variable`` is how the environment names that setting."""

    def __init__(self, variable: str = "", prefix: str = PREFIX) -> None:
        self.variable = variable
        self.value: str | None = None
        self.children: dict[str, Overrides] = {}
        self._prefix = prefix

    @classmethod
    def of(cls, environ: Mapping[str, str], known: Iterable[str]) -> Self:
        """Gather the overrides of an environment for a file whose top-level settings are ``known``.

        A variable without ``__`` that is neither a setting nor near one is not ours: Kubernetes, for one, sets
        ``FORKSTREAM_SERVICE_HOST`` for a service of that name.
        """
        root = cls()
        names = RESERVED | {fold(name) for name in known}
        for variable, value in environ.items():
            rest = variable.removeprefix(PREFIX)
            if rest == variable or rest in RESERVED:
                continue
            if "__" in rest or get_close_matches(rest, names, n=1, cutoff=0.8):
                root.add(rest.split("__"), value)
        return root

    def add(self, parts: Sequence[str], value: str) -> None:
        """Set the setting that ``parts`` lead to from here."""
        here = self
        for part in parts:
            here = here.children.setdefault(part, here.below(part))
        here.value = value

    def below(self, part: str) -> Overrides:
        """An empty one for a setting of this one."""
        variable = f"{self._prefix}{part}"
        return Overrides(variable, f"{variable}__")

    def child(self, name: str) -> Overrides | None:
        """The overrides at or below a setting of this one, or a list's item by its index."""
        return self.children.get(fold(name))

    def without(self, names: Iterable[str]) -> Overrides:
        """The same without what concerns the settings named."""
        dropped = {fold(name) for name in names}
        rest = Overrides(self.variable, self._prefix)
        rest.value = self.value
        rest.children = {part: child for part, child in self.children.items() if part not in dropped}
        return rest

    def replacing(self, name: str, change: Callable[[Overrides], Overrides]) -> Overrides:
        """The same with a change at one setting, if it has any overrides."""
        child = self.child(name)
        changed = self.without([name])
        if child:
            changed.children[fold(name)] = change(child)
        return changed

    def scalar(self) -> Scalar | None:
        """The value set for this very setting."""
        return None if self.value is None else Scalar(self.value, True, Place(f"${self.variable}"), written="")

    def report_unknown(self, known: Collection[str], path: str, problems: Problems) -> None:
        """Note every override below this setting that leads to none of the ``known`` names."""
        candidates = sorted(f"{self._prefix}{fold(name)}" for name in known)
        if self._prefix == PREFIX:
            candidates += sorted(PREFIX + name for name in RESERVED)
        for child in self.children.values():
            if child.variable not in candidates:
                near = did_you_mean(child.variable, candidates) or f"; known: {', '.join(candidates) or 'none'}"
                said = f"sets no setting{near}"
                if path == "forks":
                    named = child.variable.removeprefix(self._prefix)
                    forks = {fold(fork): fork for fork in known}
                    meant = did_you_mean(named, forks) or f"; it has {', '.join(sorted(known)) or 'none'}"
                    said = f"this config has no fork {named}{meant}"
                for leaf in child.leaves():
                    problems.add(Place(f"${leaf}"), path, said)

    def leaves(self) -> Iterator[str]:
        """The environment variables at or below this setting."""
        if self.value is not None:
            yield self.variable
        for child in self.children.values():
            yield from child.leaves()
