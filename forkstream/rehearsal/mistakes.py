"""Every mistake of a file of cases at once, each with its place, as a config's are told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ForwardRef

import msgspec

from forkstream.config.hint import Hint
from forkstream.config.problem import Place, Problems, did_you_mean
from forkstream.config.scalar import MisfitError, convert, found
from forkstream.config.tree import Items, Node, Scalar, Table

_ANY = Hint(ForwardRef("Json"))  # reads fractions as Decimal, as bodies are
_WORDS = {
    "array": "a list",
    "object": "a mapping",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "null": "nothing",
}
_STAND_INS: dict[str, Any] = {
    "cases": {"name": "", "fork": "", "events": []},
    "events": {},
    "documents": {},
    "objects": {"key": "", "documents": []},
    "dead_letters": {"code": ""},
    "kept": {"event": 1, "code": ""},
}
"""What is right for an item of each list, so that the next mistake can be looked for behind one that was found."""
_REQUIRED: dict[str, Any] = {
    "cases": [], "name": "", "fork": "", "events": [], "key": "", "documents": [], "code": "", "event": 1,
}  # fmt: skip
"""The same for what has to stand somewhere; all else can be left out."""


def plain(node: Node) -> Any:
    """Give what a part of the file holds; ``no``, ``1:30`` and what looks like a date are the texts that they are in JSON."""
    match node:
        case Scalar():
            try:
                return convert(_ANY, node)
            except MisfitError:
                return node.text
        case Items(items=items):
            return [plain(item) for item in items]
        case Table(entries=entries):
            return {name: plain(value) for name, value in entries.items()}


def convert_all(root: Node, type_: Any, lists: Mapping[str, type[msgspec.Struct]], problems: Problems) -> Any:
    """Convert the whole file; None if it has problems, all of which are noted. ``lists`` says what a list's items are."""
    content = plain(root)
    before = len(problems)
    while True:
        try:
            value = msgspec.convert(content, type_)
        except (msgspec.ValidationError, ArithmeticError) as error:
            message, _, path = str(error).partition(" - at `$")
            path, within, _ = path.rstrip("`").partition("[...]")  # what stands in a mapping of names is not named
            steps = _steps(path)
            _note(root, steps, f"in each of its values {message}" if within else message, lists, problems)
            if not _amend(content, steps, message):
                return None
        else:
            return None if len(problems) > before else value


def place_of(root: Node, *steps: str | int) -> Place:
    """Find where a part of the file stands, or what it would stand in."""
    return _node(root, steps)[1]


def _steps(path: str) -> list[str | int]:
    """Take ``.cases[0].events`` apart."""
    return [int(index) if index else name for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path)]


def _node(root: Node, steps: list[str | int] | tuple[str | int, ...]) -> tuple[Node | None, Place]:
    node: Node | None = root
    place = root.place
    for step in steps:
        if isinstance(node, Items) and isinstance(step, int):
            node = node.items[step] if step < len(node.items) else None
        elif isinstance(node, Table) and isinstance(step, str):
            node = node.entries.get(step)
        else:
            node = None
        if node is None:
            return None, place
        place = node.place
    return node, place


def _note(
    root: Node,
    steps: list[str | int],
    message: str,
    lists: Mapping[str, type[msgspec.Struct]],
    problems: Problems,
) -> None:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
    node, place = _node(root, steps)
    if name := _named(message, "unknown"):
        known = lists[_list_of(steps)].__struct_fields__
        near = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        at = node.keys[name] if isinstance(node, Table) else place
        problems.add(at, _join(path, name), f"no such setting{near}")
    elif name := _named(message, "missing required"):
        problems.add(place, _join(path, name), "is required")
    elif expected := re.fullmatch(r"(in each of its values )?Expected `([^`]+)`, got `([^`]+)`", message):
        words = " or ".join(_said(word) for word in expected[2].split("|"))
        found_there = _said(expected[3]) if expected[1] else _found(node)
        problems.add(place, path, f"expected {words} {expected[1] or ''}".rstrip() + f", found {found_there}")
    else:
        what = f", found {_found(node)}" if isinstance(node, Scalar) else ""
        problems.add(place, path, message[:1].lower() + message[1:] + what)


def _named(message: str, what: str) -> str:
    match = re.fullmatch(rf"Object (?:contains|missing)? ?{what} field `(.*)`", message)
    return match[1] if match else ""


def _said(word: str) -> str:
    return _WORDS.get(word.strip(), word.strip())


def _found(node: Node | None) -> str:
    match node:
        case Scalar():
            return found(node)
        case Items():
            return "a list"
        case Table():
            return "a mapping"
    return "nothing"


def _amend(content: Any, steps: list[str | int], message: str) -> bool:
    """Put something right where a mistake was; False if nothing more can be looked for."""
    if name := _named(message, "unknown"):
        del _at(content, steps)[name]
        return True
    if name := _named(message, "missing required"):
        _at(content, steps)[name] = _REQUIRED[name]
        return True
    while steps:
        *outer, last = steps
        holder = _at(content, outer)
        if isinstance(last, str):
            if last in _REQUIRED:
                holder[last] = _REQUIRED[last]
            else:
                del holder[last]
            return True
        if _list_of(steps) in _STAND_INS:
            holder[last] = dict(_STAND_INS[_list_of(steps)])
            return True
        steps = outer
    return False


def _at(content: Any, steps: list[str | int]) -> Any:
    for step in steps:
        content = content[step]
    return content


def _list_of(steps: list[str | int]) -> str:
    return next((step for step in reversed(steps) if isinstance(step, str)), "")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
