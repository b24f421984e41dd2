"""``${NAME}`` and ``${NAME:-default}`` in a config's values."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_REFERENCE = re.compile(r"\$(?P<escaped>\$)\{|\$\{(?P<body>[^{}]*)(?P<closed>\})?")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class Expansion(msgspec.Struct, frozen=True):
    """A text with its variables replaced, or the messages that say why it cannot be."""

    text: str
    found: bool
    """Whether there was any variable."""
    problems: list[str]


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Replace the variables of a text; a default stands in for one that is not set or empty. ``$${`` is a plain ``${``."""
    problems: list[str] = []
    found = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal found
        if match["escaped"]:
            return "${"
        found = True
        body = _BODY.fullmatch(match["body"])
        if body is None or match["closed"] is None:
            problems.append(
                f"{match[0]} is no variable: write ${{NAME}} or ${{NAME:-default}}, and $${{ for the characters themselves"
            )
            return ""
        if body["default"] is not None:
            return environ.get(body["name"]) or body["default"]
        try:
            return environ[body["name"]]  # not .get: a mapping may stand in for what is missing, as an estimate's does
        except KeyError:
            problems.append(
                f"environment variable {body['name']} is not set; a default would be ${{{body['name']}:-…}}"
            )
            return ""

    return Expansion(_REFERENCE.sub(replaced, text), found, problems)
