"""Parts of a config for those who operate what it describes: they need few of its variables and none of its plugins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from forkstream.config.document import read_document
from forkstream.config.hint import Hint
from forkstream.config.lookup import Lookup
from forkstream.config.model import AdminSettings, ConfigFile
from forkstream.config.overrides import Overrides
from forkstream.config.problem import InvalidConfigError, Place, Problems
from forkstream.config.reader import Reader, Spot
from forkstream.config.tree import Items, Node, Scalar, Table, parse
from forkstream.registry import Kind, Registry
from forkstream.settings import AwsSettings


class Excerpt:
    """A config of which each part is read when it is asked for; a problem of that part raises :class:`InvalidConfigError`."""

    def __init__(self, document: str, root: Table, environ: Mapping[str, str]) -> None:
        self.document = document
        self._root = root
        self._environ = environ

    @property
    def forks(self) -> list[str]:
        """The names of the forks, in the file's order."""
        forks = self._root.entries.get("forks")
        return list(forks.entries) if isinstance(forks, Table) else []

    @property
    def plugins(self) -> set[tuple[Kind, str]]:
        """The plugins that its forks name, as far as they are named in the file itself."""
        forks = self._root.entries.get("forks")
        return (
            {found for fork in forks.entries.values() for found in _named(fork)} if isinstance(forks, Table) else set()
        )

    @cached_property
    def control(self) -> str | None:
        """Where the desired state lies."""
        location: str | None = self._read("control")
        return location

    @cached_property
    def aws(self) -> AwsSettings:
        """The AWS settings at the top."""
        settings: AwsSettings = self._read("aws")
        return settings

    @cached_property
    def admin(self) -> AdminSettings:
        """The settings of the admin endpoint."""
        settings: AdminSettings = self._read("admin")
        return settings

    def _read(self, name: str) -> Any:
        problems = Problems()
        overrides = Overrides.of(self._environ, ConfigFile.__struct_encode_fields__)
        top = Spot("", self._root, overrides, Place(self.document))
        spot = top.below(name, name, self._root.entries.get(name))
        if not spot.given:
            return getattr(ConfigFile(forks={}), name)
        declared = next(field.type for field in msgspec.structs.fields(ConfigFile) if field.name == name)
        lookup = Lookup.of(spot.node, self._root, overrides, self._environ)
        value = Reader(Registry([]), self._environ, problems, lookup).read(Hint(declared), spot)
        if len(problems):
            raise InvalidConfigError(problems.sorted())
        return value


def _named(fork: Node) -> Iterator[tuple[Kind, str]]:
    """Name the plugins of a fork, or of its dead letters."""
    if not isinstance(fork, Table):
        return
    for kind in (Kind.SOURCE, Kind.SINK):
        yield from _plugin(kind, fork.entries.get(kind.value))
    stages = fork.entries.get("stages")
    for stage in stages.items if isinstance(stages, Items) else ():
        yield from _plugin(Kind.STAGE, stage)
    if "dead_letter" in fork.entries:
        yield from _named(fork.entries["dead_letter"])


def _plugin(kind: Kind, node: Node | None) -> Iterator[tuple[Kind, str]]:
    if isinstance(node, Scalar):
        yield kind, node.text
    elif isinstance(node, Table):
        yield from ((kind, name) for name in node.entries)


def read_excerpt(location: str | None = None, environ: Mapping[str, str] | None = None) -> Excerpt:
    """Read a config's text as ``load_config`` does, but nothing of it yet; raises ConfigError."""
    environ = os.environ if environ is None else environ
    document = read_document(location, environ)
    problems = Problems()
    root = parse(document.text, document.name, problems)
    if root and not isinstance(root, Table):
        problems.add(root.place, "", "expected a mapping with the forks")
    if not isinstance(root, Table) or len(problems):
        raise InvalidConfigError(problems.sorted())
    return Excerpt(document.name, root, environ)
