"""Where an error was raised, for whoever has to mend it: a line of source, and nothing of what it was about."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from pathlib import Path
from types import CodeType

_OWN = str(Path(__file__).parent)
_LIBRARY = sysconfig.get_path("stdlib")


def raised_at(error: BaseException) -> str:
    """Say ``file:line in method``: the deepest line of the plugin that the runtime called, not of a library below it.

    Empty for an error that no line of a plugin raised. The source itself is not read: it costs a few microseconds.
    """
    theirs = [
        (frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_theirs(frame.f_code)
    ]
    if not theirs:
        return ""
    package = str(Path(theirs[0][0].co_filename).parent)
    code, line = [one for one in theirs if one[0].co_filename.startswith(package)][-1]
    return f"{code.co_filename}:{line} in {code.co_qualname}"


def defined_at(function: object) -> str:
    """Say ``file:line in method`` of where a function or method is defined; empty for one that has no source."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}" if isinstance(code, CodeType) else ""


def _is_theirs(code: CodeType) -> bool:
    """Tell a plugin and its libraries from what calls it: forkstream, its own plugins aside, anyio and Python's library."""
    file = code.co_filename
    if file.startswith(_OWN):
        return file.removeprefix(_OWN)[1:].startswith(("sinks", "sources", "stages"))
    if "/anyio/" in Path(file).as_posix():  # it runs what blocks in a thread
        return False
    return not file.startswith(("<frozen", _LIBRARY)) or "site-packages" in file
