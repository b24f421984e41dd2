"""How a plugin's methods are called, held against how it defines them: what no event is needed to see."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter
from types import FunctionType
from typing import Any, TypeGuard, get_args, get_origin

from forkstream.ports import BatchDefaults, Plugin, Sink
from forkstream.settings import Settings

_GENERATORS = frozenset({"permissions"})
"""Whatever gives an iterable may yield."""
_EITHER = frozenset({"write"})
_AWAITABLE = ("Awaitable", "Coroutine", "Future", "Task")


def misfits(plugin: type[Plugin[Settings]]) -> list[str]:
    """Say where a plugin cannot be called as its port is: the file and line, what was found, and what is due.

    A type checker sees all of it, and more; this is for a plugin that met none. What a decorator made is left alone.
    """
    return [*_settings(plugin), *_batch_defaults(plugin), *_methods(plugin)]


def _settings(plugin: type[Plugin[Settings]]) -> Iterator[str]:
    for klass in plugin.__mro__:
        for base in getattr(klass, "__orig_bases__", ()):
            origin = get_origin(base)
            if not (inspect.isclass(origin) and issubclass(origin, Plugin)):
                continue
            for argument in get_args(base):
                if inspect.isclass(argument) and not issubclass(argument, Settings):
                    yield f"its settings {argument.__name__} are not derived from forkstream.Settings"


def _batch_defaults(plugin: type[Plugin[Settings]]) -> Iterator[str]:
    if issubclass(plugin, Sink):
        found = inspect.getattr_static(plugin, "batch_defaults")
        if not isinstance(found, BatchDefaults) and not hasattr(found, "__get__"):
            yield f"batch_defaults is a {type(found).__name__}, where BatchDefaults(max_events=…) is due"


def _methods(plugin: type[Plugin[Settings]]) -> Iterator[str]:
    for name, due in _declared(plugin).items():
        found = inspect.getattr_static(plugin, name)
        if found is due or not _is_plain(found):
            continue
        where = f"{found.__code__.co_filename}:{found.__code__.co_firstlineno}"
        for wrong in (_wrong_kind(name, due, found), _wrong_parameters(due, found)):
            if wrong:
                yield f"{where}: {name} {wrong}"


def _declared(plugin: type[Plugin[Settings]]) -> dict[str, FunctionType]:
    """What the runtime calls, as the port declares it. ``__init__`` shows itself when the plugin is made."""
    ports = [klass for klass in reversed(plugin.__mro__) if klass.__module__ == Plugin.__module__]
    return {
        name: method
        for port in ports
        for name, method in vars(port).items()
        if inspect.isfunction(method) and name != "__init__"
    }


def _is_plain(found: object) -> TypeGuard[FunctionType]:
    """Tell a method as it stands in the source from what a decorator made of one: that may answer in any way."""
    if not inspect.isfunction(found) or hasattr(found, "__wrapped__"):
        return False
    kinds = {parameter.kind for parameter in inspect.signature(found).parameters.values()}
    return not {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD} <= kinds


def _wrong_kind(name: str, due: Callable[..., Any], found: FunctionType) -> str:
    generator = inspect.isgeneratorfunction(found) and name not in _GENERATORS
    if generator or inspect.isasyncgenfunction(found):
        return "yields, where one answer is to be returned"
    if name in _EITHER:
        return ""
    if inspect.iscoroutinefunction(due):
        answer = str(found.__annotations__.get("return", ""))
        awaited = inspect.iscoroutinefunction(found) or any(word in answer for word in _AWAITABLE)
        return "" if awaited else "is a plain def, where async def is due"
    return "is an async def, where a plain def is due" if inspect.iscoroutinefunction(found) else ""


def _wrong_parameters(due: Callable[..., Any], found: FunctionType) -> str:
    declared = inspect.signature(due).parameters.values()
    named = [parameter.name for parameter in declared if parameter.kind is Parameter.KEYWORD_ONLY]
    positional = [parameter.name for parameter in declared if parameter.name not in named]
    try:
        inspect.signature(found).bind(*positional, **dict.fromkeys(named))
    except TypeError as error:
        called = ", ".join([*positional[1:], *(f"{name}=…" for name in named)])
        return f"is called with ({called}), and cannot be: {error}"
    return ""
