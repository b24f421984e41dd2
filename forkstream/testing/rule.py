"""A rule of a conformance suite: an async method that pytest runs as a test, with a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest

from forkstream.testing.loop_watch import WatchedLoop
from forkstream.testing.name_of import name_of

S = TypeVar("S")

RULE_SECONDS = 30.0
"""What a rule may take. Only a plugin that waits for ever takes longer."""


class BrokenRuleError(AssertionError):
    """A plugin breaks a rule; the message says what it did and what was due."""


def require(condition: object, message: str) -> None:
    """Raise :class:`BrokenRuleError` unless the condition holds."""
    __tracebackhide__ = True
    if not condition:
        raise BrokenRuleError(message)


def rule(check: Callable[[S], Coroutine[object, None, None]]) -> Callable[[S], None]:
    """Make a test of an async method. It needs no other pytest plugin and runs on a :class:`WatchedLoop`."""

    def test(suite: S) -> None:
        async def limited() -> None:
            limit = asyncio.timeout(RULE_SECONDS)
            try:
                async with limit:
                    await check(suite)
            except AssertionError:  # a broken rule too, or what the author's own suite asserts
                raise
            except Exception as error:
                late = f"the plugin does not answer within {RULE_SECONDS:.0f} s"
                raise BrokenRuleError(late if limit.expired() else f"raised {name_of(error)}") from error

        with asyncio.Runner(loop_factory=WatchedLoop) as runner:
            runner.run(limited())

    # not functools.wraps: a test that looks like a coroutine function would be claimed by async plugins
    test.__name__, test.__qualname__ = check.__name__, check.__qualname__
    test.__module__, test.__doc__ = check.__module__, check.__doc__
    return test


def broken_rules(make_suite: Callable[[], object]) -> dict[str, str]:
    """Run every rule of a suite here and now, each on a suite of its own; give the names of the broken ones and the complaints.

    For a suite without fixtures. Rules that a suite skips count as kept.
    """
    broken: dict[str, str] = {}
    for name in sorted(dir(make_suite())):
        if name.startswith("test_"):
            try:
                getattr(make_suite(), name)()
            except pytest.skip.Exception:
                continue
            except Exception as error:  # noqa: BLE001  # a plugin may raise anything, and each is a finding
                broken[name] = f"{type(error).__name__}: {error}"
    return broken
