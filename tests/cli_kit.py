"""The command line as a person runs it, in this process."""

from __future__ import annotations

import pytest

from forkstream.cli import main


def run(*arguments: str) -> int:
    """Run ``forkstream`` with these arguments; returns the exit code."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code
