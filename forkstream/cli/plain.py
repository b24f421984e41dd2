"""A docstring as people read it on a terminal: without the marks of reStructuredText."""

from __future__ import annotations

import inspect
import re

_ROLE = re.compile(r":[a-z:]+:`(?:[^`<]*?<)?~?!?([\w.]+)>?`")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
_STRONG = re.compile(r"\*\*(\S.*?)\*\*", re.DOTALL)


def plain(docstring: str | None) -> str:
    """Strip indentation and marks: ``:class:`~a.b.Name``` is Name, a literal has a pair of back-ticks, bold has none."""
    text = inspect.cleandoc(docstring or "")
    text = _ROLE.sub(lambda role: role[1].rpartition(".")[2], text)
    text = _STRONG.sub(r"\1", text)
    return _LITERAL.sub(r"`\1`", text)
