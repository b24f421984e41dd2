"""The conformance suites themselves: each bad plugin is caught by the rule meant for it and by no other; a good one keeps all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from forkstream.testing.conformance import (
    AsyncStageConformance,
    EventSinkConformance,
    EventStageConformance,
    ObjectSinkConformance,
    ObjectStageConformance,
    PluginConformance,
    SourceConformance,
)
from forkstream.testing.rule import broken_rules
from tests.conformance import async_stages, event_sinks, event_stages, object_sinks, object_stages, sources

GOOD: list[Callable[[], object]] = [
    event_sinks.ShelfSuite,
    object_sinks.CellarSuite,
    event_stages.BadgeSuite,
    async_stages.EnrichSuite,
    object_stages.VeilSuite,
    sources.PondSuite,
]

BAD: list[tuple[Callable[[], object], str, str]] = [
    *((partial(event_sinks.ShelfSuite, bad), bad.__name__, rule) for bad, rule in event_sinks.BROKEN.items()),
    *((partial(object_sinks.CellarSuite, bad), bad.__name__, rule) for bad, rule in object_sinks.BROKEN.items()),
    *((partial(event_stages.BadgeSuite, bad), bad.__name__, rule) for bad, rule in event_stages.BROKEN.items()),
    *((partial(async_stages.EnrichSuite, bad), bad.__name__, rule) for bad, rule in async_stages.BROKEN.items()),
    *((partial(object_stages.VeilSuite, bad), bad.__name__, rule) for bad, rule in object_stages.BROKEN.items()),
    *((partial(sources.PondSuite, bad), bad.__name__, rule) for bad, rule in sources.BROKEN.items()),
]


@pytest.mark.parametrize("suite", GOOD)
def test_a_good_plugin_keeps_every_rule(suite: Callable[[], object]) -> None:
    assert broken_rules(suite) == {}


@pytest.mark.parametrize(
    ("suite", "rule"), [(suite, rule) for suite, _, rule in BAD], ids=[f"{name}-{rule}" for _, name, rule in BAD]
)
def test_a_bad_plugin_is_caught_by_its_rule_and_no_other(suite: Callable[[], object], rule: str) -> None:
    assert list(broken_rules(suite)) == [rule]


def test_every_rule_has_a_bad_plugin() -> None:
    caught = {rule for _, _, rule in BAD}
    suites: list[type[object]] = [
        AsyncStageConformance, EventSinkConformance, EventStageConformance, ObjectSinkConformance,
        ObjectStageConformance, PluginConformance, SourceConformance,
    ]  # fmt: skip
    rules = {(suite.__name__, name) for suite in suites for name in dir(suite) if name.startswith("test_")}
    assert not {name for _, name in rules} - caught


def test_what_an_author_has_not_said_is_skipped_with_the_method_to_write() -> None:
    class Unsaid(EventSinkConformance):
        def plugin(self) -> event_sinks.Shelf:
            return event_sinks.ShelfSuite().plugin()

    with pytest.raises(pytest.skip.Exception, match=r"write stored\(\)"):
        Unsaid().test_every_event_is_stored()
    with pytest.raises(pytest.skip.Exception, match=r"write unreachable\(\)"):
        Unsaid().test_a_destination_out_of_reach_is_transient()
