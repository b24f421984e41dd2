"""The service runs on uvloop, whose transports differ from asyncio's: the wire's tests, once more on that loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from itertools import product
from types import ModuleType
from typing import Any

import pytest
import uvloop

from tests.integration import test_aws_exchange, test_aws_pool

Test = Callable[..., Coroutine[Any, Any, None]]


def cases(module: ModuleType) -> Iterator[Any]:
    """Give each asynchronous test of a module with each set of its arguments."""
    for name, test in vars(module).items():
        if not (name.startswith("test_") and inspect.iscoroutinefunction(test)):
            continue
        parametrized = [mark.args for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        for values in product(*(values for _, values in parametrized)):
            arguments = dict(zip((names for names, _ in parametrized), values, strict=True))
            yield pytest.param(test, arguments, id=name.removeprefix("test_"))


@pytest.mark.parametrize(("test", "arguments"), [*cases(test_aws_exchange), *cases(test_aws_pool)])
def test_on_uvloop(test: Test, arguments: dict[str, Any], request: pytest.FixtureRequest) -> None:
    fixtures = set(inspect.signature(test).parameters) - set(arguments)
    uvloop.run(test(**arguments, **{name: request.getfixturevalue(name) for name in fixtures}))
