"""Settings as a config file would bring them: read by the same reader, with the same complaints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from forkstream.config.hint import Hint
from forkstream.config.overrides import Overrides
from forkstream.config.problem import Place, Problems
from forkstream.config.reader import Reader, Spot
from forkstream.config.tree import parse
from forkstream.errors import ConfigError
from forkstream.event import Json, encode_json
from forkstream.registry import Registry
from forkstream.settings import Settings

T = TypeVar("T", bound=Settings)


def read_settings(type_: type[T], settings: Mapping[str, Json]) -> T:
    """Read settings such as ``{"url": "http://…", "timeout": "10s"}``; raises ConfigError with every problem, as a start would."""
    problems = Problems()
    root = parse(encode_json(dict(settings)).decode(), "settings", problems)  # JSON is YAML
    value: object = Reader(Registry([]), {}, problems).read(Hint(type_), Spot("", root, Overrides(), Place("settings")))
    if len(problems) or not isinstance(value, type_):
        raise ConfigError([str(problem) for problem in problems.sorted()])
    return value
