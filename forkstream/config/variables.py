"""``${NAME}``, ``${NAME:-default}`` and ``${file:…}``, ``${ssm:…}``, ``${secretsmanager:…}`` in a config's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

_VARIABLE = re.compile(r"\$(?P<escaped>\$)\{|\$\{(?P<body>[^{}]*)(?P<closed>\})?")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_REFERENCE = re.compile(r"(file|ssm|secretsmanager):.+", re.DOTALL)


class UnresolvedError(Exception):
    """A reference leads to no value; the message says why and what to do, and never quotes a value."""


class Expansion(msgspec.Struct, frozen=True):
    """A text with its variables replaced, or the messages that say why it cannot be."""

    text: str
    found: bool
    """Whether there was any variable."""
    secrets: list[str]
    """What references stood for: it must not be shown anywhere."""
    problems: list[str]


def references(text: str) -> Iterator[str]:
    """Name the references of a text as they stand between the braces: ``ssm:/orders/token``."""
    for match in _VARIABLE.finditer(text):
        if match["closed"] and _REFERENCE.fullmatch(match["body"]):
            yield match["body"]


def expand(text: str, environ: Mapping[str, str], lookup: Callable[[str], str]) -> Expansion:
    """Replace the variables of a text; a default stands in for one that is not set or empty.

    ``$${`` is a plain ``${``; any other ``$`` is itself. A variable ends at its first ``}``, so no default can hold one;
    a value can, and whatever it holds is not looked at again. ``lookup`` gives what a reference stands for, or raises
    :class:`UnresolvedError`. A reference takes no default: a secret that is not there must not become another one.
    """
    problems: list[str] = []
    secrets: list[str] = []
    found = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal found
        if match["escaped"]:
            return "${"
        found = True
        if match["closed"] and _REFERENCE.fullmatch(match["body"]):
            try:
                if ":-" in match["body"]:
                    raise UnresolvedError("takes no default: what is not there must not become another secret")  # noqa: TRY301
                secrets.append(lookup(match["body"]))
            except UnresolvedError as error:
                problems.append(f"{match[0]}: {error}")
                return ""
            return secrets[-1]
        return _from_environment(match, environ, problems)

    return Expansion(_VARIABLE.sub(replaced, text), found, secrets, problems)


def _from_environment(match: re.Match[str], environ: Mapping[str, str], problems: list[str]) -> str:
    body = _BODY.fullmatch(match["body"])
    if body is None or match["closed"] is None:
        problems.append(
            f"{match[0]} is no variable: write ${{NAME}}, ${{NAME:-default}}, ${{file:/path}}, ${{ssm:/name}} or "
            "${secretsmanager:name#key}, and $${ for the characters themselves"
        )
        return ""
    if body["default"] is not None:
        return environ.get(body["name"]) or body["default"]
    try:
        return environ[body["name"]]  # not .get: a mapping may stand in for what is missing, as an estimate's does
    except KeyError:
        problems.append(
            f"environment variable {body['name']} is not set: set it, or write ${{{body['name']}:-DEFAULT}}"
        )
        return ""
