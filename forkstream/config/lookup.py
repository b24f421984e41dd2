"""What the references of a config stand for: all that are going to be read are fetched at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import msgspec

from forkstream.config.fetch_secrets import fetch_secrets
from forkstream.config.hint import Hint
from forkstream.config.model import ConfigFile
from forkstream.config.overrides import Overrides
from forkstream.config.problem import Place, Problems
from forkstream.config.reader import Reader, Spot
from forkstream.config.tree import Items, Node, Scalar, Table
from forkstream.config.variables import UnresolvedError, references
from forkstream.registry import Registry
from forkstream.settings import AwsSettings

_NOT_ASKED = "AWS is not asked while aws at the top, which says as whom, has a problem or holds such a reference itself"


class Lookup:
    """Gives what a reference stands for; raises :class:`UnresolvedError` where it stands for nothing."""

    def __init__(self, values: Mapping[str, str | UnresolvedError]) -> None:
        self._values = values

    def __call__(self, reference: str) -> str:
        value = self._values.get(reference, UnresolvedError(_NOT_ASKED))
        if isinstance(value, UnresolvedError):
            raise value
        if not value:
            raise UnresolvedError("is empty: store the secret there")
        return value

    @classmethod
    def of(cls, node: Node | None, root: Table, overrides: Overrides, environ: Mapping[str, str]) -> Self:
        """Fetch what the references below ``node`` stand for, a part of ``root`` or all of it.

        AWS is asked as ``aws`` at the top of the config says, and not at all if that cannot be read.
        """
        wanted = dict.fromkeys(each for text in _texts(node) for each in references(text))
        files = {each: None for each in wanted if each.startswith("file:")}
        if len(files) == len(wanted):
            return cls(fetch_secrets(wanted, AwsSettings()))
        settings = _aws(root, overrides, environ)
        if settings is None:
            return cls(fetch_secrets(files, AwsSettings()))
        return cls(fetch_secrets(wanted, settings))


def _aws(root: Table, overrides: Overrides, environ: Mapping[str, str]) -> AwsSettings | None:
    """Read ``aws`` at the top, which may have secrets in files; None if it has a problem."""
    node = root.entries.get("aws")
    texts = [reference for text in _texts(node) for reference in references(text)]
    in_files = Lookup(fetch_secrets([each for each in texts if each.startswith("file:")], AwsSettings()))
    spot = Spot("", root, overrides, Place("")).below("aws", "aws", node)
    if not spot.given:
        return AwsSettings()
    problems = Problems()
    declared = next(field.type for field in msgspec.structs.fields(ConfigFile) if field.name == "aws")
    value = Reader(Registry([]), environ, problems, in_files).read(Hint(declared), spot)
    return value if isinstance(value, AwsSettings) and not len(problems) else None


def _texts(node: Node | None) -> Iterator[str]:
    match node:
        case Scalar(text=text, written=None):
            yield text
        case Items(items=items):
            for item in items:
                yield from _texts(item)
        case Table(entries=entries):
            for entry in entries.values():
                yield from _texts(entry)
