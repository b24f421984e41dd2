"""A plugin whose methods cannot be called as its port's are is refused at the start, by file and line, with what is due."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from forkstream import EventSink, PluginError, Settings
from forkstream.port_shape import misfits
from forkstream.ports import Permission
from forkstream.registry import Kind, Registry, load_file

HEAD = "from forkstream import *\n"


def refused(tmp_path: Path, port: str, body: str) -> str:
    """Load a file with such a plugin; give what the complaint says behind the plugin's name and the file's."""
    path = tmp_path / "bad.py"
    path.write_text(f"{HEAD}class Bad({port}):\n{indent(body, '    ')}\n")
    kind = Kind.STAGE if "Stage" in port else Kind.SOURCE if "Source" in port else Kind.SINK
    with pytest.raises(PluginError) as caught:
        Registry(load_file(path)).find(kind, "bad")
    message = str(caught.value)
    who = f"{kind.value} 'bad' of {path} does not fit its port: "
    assert message.startswith(who)
    return message.removeprefix(who).replace(str(path), "bad.py")


WRITE = "async def write(self, events): return ()"
SOURCE = """
async def receive(self, limit, *, hold, wait): return []
async def delete(self, receipts): return ()
def hold(self, receipts, seconds): return ()
"""


@pytest.mark.parametrize(
    ("port", "body", "complaint"),
    [
        ("EventStage[Settings]", "async def __call__(self, event): return event", "bad.py:3: __call__ is an async def, where a plain def is due"),
        ("EventStage[Settings]", "def __call__(self, event): yield event", "bad.py:3: __call__ yields, where one answer is to be returned"),
        ("AsyncStage[Settings]", "def apply(self, events): return {}", "bad.py:3: apply is a plain def, where async def is due"),
        ("ObjectStage[Settings]", "suffix = ''\ndef prepare(self, about): return about", "bad.py:4: prepare is a plain def, where async def is due"),
        ("ObjectSink[Settings]", "def put(self, key, payload, *, attempt): pass", "bad.py:3: put is a plain def, where async def is due"),
        ("ObjectSink[Settings]", "async def put(self, key, payload): pass", "bad.py:3: put is called with (key, payload, attempt=…), and cannot be: got an unexpected keyword argument 'attempt'"),
        ("EventSink[Settings]", "async def write(self, events): yield ()", "bad.py:3: write yields, where one answer is to be returned"),
        ("EventSink[Settings]", "def write(self): return ()", "bad.py:3: write is called with (events), and cannot be: too many positional arguments"),
        ("EventSink[Settings]", f"def __aenter__(self): return self\n{WRITE}", "bad.py:3: __aenter__ is a plain def, where async def is due"),
        ("EventSink[Settings]", f"async def partition(self, event): return ''\n{WRITE}", "bad.py:3: partition is an async def, where a plain def is due"),
        ("EventSink[Settings]", f"batch_defaults = {{'max_events': 10}}\n{WRITE}", "batch_defaults is a dict, where BatchDefaults(max_events=…) is due"),
        ("EventSink[int]", WRITE, "its settings int are not derived from forkstream.Settings"),
        ("Source[Settings]", SOURCE, "bad.py:6: hold is a plain def, where async def is due"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_as_its_port_says_is_refused(
    tmp_path: Path, port: str, body: str, complaint: str
) -> None:
    assert refused(tmp_path, port, body) == complaint


def test_each_misfit_is_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "EventSink[Settings]", f"def check(self): pass\nasync def partition(self): pass\n{WRITE}")
    assert re.findall(r"bad.py:\d+: (\w+) ", told) == ["check", "partition", "partition"]


def noisy(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: object) -> object:
        return method(*args)

    return call


def bare(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> object:
        return method(*args, **kwargs)

    return call


class Decorated(EventSink[Settings]):
    """Every method fits, though none is spelt as its port's."""

    @noisy
    async def write(self, events: object) -> object:
        return ()

    @bare
    async def check(self) -> None:
        pass

    def advise(self, fork: object) -> Awaitable[tuple[()]]:  # type: ignore[override]
        raise NotImplementedError

    @property
    def batch_defaults(self) -> object:  # type: ignore[override]
        raise NotImplementedError

    def permissions(self) -> Iterator[Permission]:
        yield Permission(actions=())

    @staticmethod
    def partition(event: object) -> str:
        return str(event)


def test_what_a_decorator_made_or_an_annotation_promises_is_left_alone() -> None:
    assert misfits(Decorated) == []
