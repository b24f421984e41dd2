"""A config's YAML as a tree that keeps what was written and where; what a scalar means is for its setting's type to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
import yaml

from forkstream.config.problem import Place, Problems

_MOST_NODES = 100_000  # a few lines of aliases of aliases can stand for more than fits into memory


class Scalar(msgspec.Struct, frozen=True):
    """One value as text. ``plain`` says that it stood without quotes and may mean a number, a boolean or nothing.

    ``written`` is the text before its variables were replaced, empty for an override, None for what stands in the file as it is.
    ``secret`` says that a reference was among them, so that ``text`` must not be shown.
    """

    text: str
    plain: bool
    place: Place
    written: str | None = None
    secret: bool = False

    @property
    def nothing(self) -> bool:
        """Whether it is YAML's null."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


class Items(msgspec.Struct, frozen=True):
    """A list."""

    items: list[Node]
    place: Place


class Table(msgspec.Struct, frozen=True):
    """A mapping; ``keys`` holds where each of its names stands."""

    entries: dict[str, Node]
    keys: dict[str, Place]
    place: Place


Node: TypeAlias = Scalar | Items | Table


class _Loader(yaml.SafeLoader):
    """Leaves every plain scalar a text: no ``no`` becomes False, no ``1:30`` becomes 90, no ``2024-01-01`` a date."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # overrides the class attribute of PyYAML's resolver


def parse(text: str, file: str, problems: Problems, *, at: Place | None = None) -> Node | None:
    """Parse YAML; None if it is none, which is noted as a problem. Names that stand twice are problems too.

    ``at`` is where a text came from that did not stand in the file itself: a variable's value holds no variables.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        return _Builder(file, problems, at).build(root, "") if root else Scalar("", True, at or Place(file, 1, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        line = text.splitlines()[mark.line : mark.line + 1] if mark is not None else []
        variable = "${" in "".join(line)
        quotes = '; within {…} and […], and with ": " in it, a variable needs quotes: "${NAME}"' if variable else ""
        if mark is not None and text[mark.index : mark.index + 1] == "\t":
            said = "a tab, but YAML indents with spaces alone"
        problems.add(at or place, "", f"not YAML: {said}{quotes}")
    except yaml.reader.ReaderError as error:
        problems.add(at or Place(file), "", f"not YAML: {error.reason} at character {error.position}")
    except RecursionError:
        problems.add(at or Place(file), "", "nested too deep")
    except _TooLargeError:
        problems.add(at or Place(file), "", f"more than {_MOST_NODES} values, counting each use of an alias")
    return None


class _TooLargeError(Exception):
    pass


class _Builder:
    """Turns PyYAML's nodes into ours, aliases and merge keys resolved."""

    def __init__(self, file: str, problems: Problems, at: Place | None) -> None:
        self._file = file
        self._at = at
        self._problems = problems
        self._count = 0
        self._within: set[int] = set()

    def build(self, node: yaml.Node, path: str) -> Node:
        self._count += 1
        if self._count > _MOST_NODES:
            raise _TooLargeError
        place = self._place(node)
        if id(node) in self._within:
            self._problems.add(place, path, "an alias that stands for what it stands in")
            return Scalar("", True, place)
        if node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            self._problems.add(place, path, f"YAML tags such as {node.tag} mean nothing here")
        self._within.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._table(node, path)
            if isinstance(node, yaml.SequenceNode):
                return Items([self.build(item, f"{path}[{n}]") for n, item in enumerate(node.value)], place)
            assert isinstance(node, yaml.ScalarNode)  # noqa: S101  # the third and last kind
            return Scalar(_whole(node.value), node.style is None, place, written="" if self._at else None)
        finally:
            self._within.discard(id(node))

    def _table(self, node: yaml.MappingNode, path: str) -> Table:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            place = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                self._problems.add(place, path, "a name has to be text")
                continue
            name = _whole(key.value)
            if key.value == "<<" and key.style is None:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif name in keys:
                message = f"stands here a second time, first in line {keys[name].line}"
                self._problems.add(place, _join(path, name), message)
            else:
                entries[name] = self.build(value, _join(path, name))
                keys[name] = place
        for name, place, value in self._inherited(merged, path):
            if name not in keys:
                entries[name], keys[name] = value, place
        return Table(entries, keys, self._place(node))

    def _inherited(self, merged: list[yaml.Node], path: str) -> Iterator[tuple[str, Place, Node]]:
        """What ``<<: *defaults`` brings in; of several, an earlier one wins."""
        for source in merged:
            table = self.build(source, path)
            if not isinstance(table, Table):
                self._problems.add(self._place(source), path, "<< takes a mapping, or a list of them")
                continue
            for name, node in table.entries.items():
                yield name, table.keys[name], node

    def _place(self, node: Any) -> Place:
        return self._at or Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _whole(text: str) -> str:
    """JSON escapes a character beyond 16 bits as two halves, which PyYAML leaves apart; half of one is no character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
