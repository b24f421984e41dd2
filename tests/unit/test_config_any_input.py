"""Whatever stands in a config, and wherever: it is read or its problems are told, and nothing else happens."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forkstream.config.plan import Plan
from forkstream.config.problem import InvalidConfigError, Problem
from tests.config_kit import load, sink_settings

WHOLE: dict[str, Any] = {
    "forks": {
        "one": {
            "source": {"queue": {"queue": "q", "aws": {"region": "r"}}},
            "stages": [{"scrub": {"drop": ["a"], "keep": "b"}}, "enrich", {"encrypt": {"key": "abcd"}}],
            "sink": {
                "bucket": {"bucket": "abc", "part": "5MiB", "tls": {"depth": 1}, "tags": {"a": "b"}, "ports": [1]}
            },
            "format": {"json": {"envelope": True}},
            "batch": {"max_age": "60s"},
            "dead_letter": {"stages": [{"encrypt": {"key": "abcd"}}], "sink": {"bucket": {"bucket": "abc"}}},
        },
        "two": {"source": {"queue": {"queue": "p"}}, "sink": "table"},
    },
    "admin": {"port": 1},
    "log": {"level": "info"},
}

texts = st.sampled_from(
    ["", "~", "q", "5", "60s", "true", "[x", "${A}", "${", "${B:-c}", "queue", "forks", "bucket", "<<", "ä", " "]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(each for key, child in below for each in places(child, (*path, key)))]


def with_value(place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    config = copy.deepcopy(WHOLE)
    here = config
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = value
    return config


def variable(place: tuple[Any, ...]) -> str:
    return "FORKSTREAM_" + "__".join(str(part) for part in place).upper()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(places(WHOLE)), value=values, over=st.sampled_from(places(WHOLE)), text=texts | st.none())
def test_any_value_at_any_place_is_read_or_told(
    place: tuple[Any, ...], value: Any, over: tuple[Any, ...], text: str | None
) -> None:
    environ = {} if text is None else {variable(over): text}
    problems: list[Problem] = []
    plans: list[Plan] = []
    try:
        plans = load(json.dumps(with_value(place, value)), environ=environ).plans
    except InvalidConfigError as error:
        problems = error.found
    assert bool(plans) != bool(problems)
    assert all(problem.message and problem.place.file for problem in problems)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3))
def test_any_text_comes_through_as_it_was_written(tags: dict[str, str]) -> None:
    written = json.dumps({key: value.replace("${", "$${") for key, value in tags.items()})
    assert sink_settings(f"tags: {written}").tags == tags
