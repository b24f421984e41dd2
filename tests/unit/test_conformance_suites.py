"""The conformance suites themselves: each bad plugin is caught by the rule meant for it and by no other; a good one keeps all."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from forkstream.errors import UnavailableError
from forkstream.event import Event, Failure
from forkstream.ports import ObjectInfo, Payload, Receipt, Refusal
from forkstream.testing import conformance
from forkstream.testing.conformance import (
    AsyncStageConformance,
    EventSinkConformance,
    EventStageConformance,
    ObjectSinkConformance,
    ObjectStageConformance,
    PluginConformance,
    SourceConformance,
)
from forkstream.testing.conformance.sink import SinkConformance
from forkstream.testing.rule import BrokenRuleError, broken_rules
from tests.conformance import any_plugin, async_stages, event_sinks, event_stages, object_sinks, object_stages, sources

GOOD: list[Callable[[], object]] = [
    event_sinks.ShelfSuite,
    object_sinks.CellarSuite,
    event_stages.BadgeSuite,
    async_stages.EnrichSuite,
    object_stages.VeilSuite,
    sources.PondSuite,
]

BAD: list[tuple[Callable[[], object], str, str]] = [
    *((partial(event_sinks.ShelfSuite, bad), bad.__name__, rule) for bad, rule in any_plugin.BROKEN.items()),
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


@pytest.mark.unmeasured  # the good ones run the same lines
@pytest.mark.parametrize(
    ("suite", "rule"), [(suite, rule) for suite, _, rule in BAD], ids=[f"{name}-{rule}" for _, name, rule in BAD]
)
def test_a_bad_plugin_is_caught_by_its_rule_and_no_other(suite: Callable[[], object], rule: str) -> None:
    assert list(broken_rules(suite)) == [rule]


CAUGHT: dict[type[object], set[str]] = {
    PluginConformance: {*any_plugin.BROKEN.values()},
    SinkConformance: {*event_sinks.BROKEN.values()},
    EventSinkConformance: {*event_sinks.BROKEN.values()},
    ObjectSinkConformance: {*object_sinks.BROKEN.values()},
    EventStageConformance: {*event_stages.BROKEN.values()},
    AsyncStageConformance: {*async_stages.BROKEN.values()},
    ObjectStageConformance: {*object_stages.BROKEN.values()},
    SourceConformance: {*sources.BROKEN.values()},
}


@pytest.mark.parametrize("suite", CAUGHT)
def test_every_rule_of_each_suite_has_a_bad_plugin_of_its_port(suite: type[object]) -> None:
    assert not {name for name in vars(suite) if name.startswith("test_")} - CAUGHT[suite]


def test_every_suite_is_among_them() -> None:
    assert {suite for kind in CAUGHT for suite in kind.__mro__ if suite.__name__.endswith("Conformance")} == {*CAUGHT}
    assert {suite.__name__ for suite in CAUGHT} - {"SinkConformance"} == {*conformance.__all__}


def test_every_plugin_of_this_repository_is_held_to_its_suite() -> None:
    root = Path(__file__).parents[2]
    files = [*root.glob("tests/*/test_conformance_*.py"), *root.glob("plugins/*/tests/test_conformance*.py")]
    held = {name for file in files for name in re.findall(r"def plugin\(self\) -> (\w+):", file.read_text())}
    projects = [root / "pyproject.toml", *root.glob("plugins/*/pyproject.toml")]
    points = [tomllib.loads(project.read_text())["project"]["entry-points"] for project in projects]
    offered = {
        target.rpartition(":")[2]
        for groups in points
        for group, names in groups.items()
        if group.startswith("forkstream.")
        for target in names.values()
    }
    assert len(offered) > 20
    assert not offered - held


class WritesNone(event_sinks.Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return cast("Collection[Failure]", None)


class WritesIds(event_sinks.Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return cast("Collection[Failure]", [event.id for event in events])


class WaitsForEver(event_sinks.Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        await asyncio.Event().wait()
        return ()


class IsFull(event_sinks.Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        raise UnavailableError("full", "shelf 3: no place left")


class Trips(event_sinks.Shelf):
    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return [Failure.permanent(events[10_000], "beyond")]


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (WritesNone, r"write returns NoneType, where a collection of failures is due: \(\) when every event is durable"),
        (WritesIds, r"write returns \['str'\] for a failed event, where Failure.permanent\(event, …\) is due"),
        (WaitsForEver, r"the plugin does not answer within 0 s"),
        (IsFull, r"raised UnavailableError\('full', 'shelf 3: no place left'\) at \S+suites.py:\d+ in IsFull.write"),
        (Trips, r"raised IndexError\('list index out of range'\) at \S+suites.py:\d+ in Trips.write"),
        (event_sinks.Sleeps, r"write holds up every fork: time.sleep at \S+event_sinks.py:\d+ in Sleeps.write.*: a plain def write may block"),
        (any_plugin.GivesNothing, r"__aenter__ returns NoneType: it ends with `return self`"),
        (any_plugin.IoInConstructor, r"the constructor calls open at .+__init__: that belongs into __aenter__"),
        (any_plugin.PlainCheck, r"\S+any_plugin.py:\d+: check is a plain def, where async def is due"),
    ],
)  # fmt: skip
def test_a_broken_rule_says_what_was_found_where_and_what_is_due(
    monkeypatch: pytest.MonkeyPatch, plugin: type[event_sinks.Shelf], told: str
) -> None:
    if plugin is WaitsForEver:
        monkeypatch.setattr("forkstream.testing.rule.RULE_SECONDS", 0.0)
    rule = {**any_plugin.BROKEN, **event_sinks.BROKEN}.get(plugin, "test_every_event_is_stored")
    with pytest.raises(BrokenRuleError) as caught:
        getattr(event_sinks.ShelfSuite(plugin), rule)()
    assert re.fullmatch(told, str(caught.value)), str(caught.value)


class AppliesNone(async_stages.Enrich):
    async def apply(self, events: Sequence[Event]) -> Mapping[Event, async_stages.Result]:
        return cast("Mapping[Event, async_stages.Result]", None)


class PreparesNone(object_stages.Veil):
    async def prepare(self, about: ObjectInfo) -> object_stages.Step:
        return cast("object_stages.Step", None)


class MakesBytes(object_stages.Veil):
    async def prepare(self, about: ObjectInfo) -> object_stages.Step:
        return lambda payload: cast("Payload", payload.data)


class RefusesNone(sources.Pond):
    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        await super().delete(receipts)
        return cast("Collection[Refusal]", None)


@pytest.mark.parametrize(
    ("suite", "rule", "told"),
    [
        (async_stages.EnrichSuite(AppliesNone), "test_every_event_is_answered", "apply returns NoneType, where a mapping from each event given is due"),
        (object_stages.VeilSuite(PreparesNone), "test_what_goes_in_comes_out_again", "prepare returns NoneType, where a function from Payload to Payload is due"),
        (object_stages.VeilSuite(MakesBytes), "test_what_goes_in_comes_out_again", "the prepared step gives bytes, where a Payload is due"),
        (sources.PondSuite(RefusesNone), "test_refusals_name_the_receipts_given", "NoneType is returned, where a collection of Refusal is due: () for none"),
    ],
)  # fmt: skip
def test_an_answer_of_the_wrong_shape_is_told_with_what_is_due(suite: object, rule: str, told: str) -> None:
    with pytest.raises(BrokenRuleError) as caught:
        getattr(suite, rule)()
    assert str(caught.value) == told


def test_what_is_stored_may_be_a_mapping_by_id() -> None:
    class ById(event_sinks.ShelfSuite):
        def stored(self) -> Iterable[str]:
            return {event.id: event for event in self.store}

    assert broken_rules(ById) == {}


def test_what_an_author_has_not_said_is_skipped_with_the_method_to_write() -> None:
    class Unsaid(EventSinkConformance):
        def plugin(self) -> event_sinks.Shelf:
            return event_sinks.ShelfSuite().plugin()

    with pytest.raises(pytest.skip.Exception, match=r"write stored\(\)"):
        Unsaid().test_every_event_is_stored()
    with pytest.raises(pytest.skip.Exception, match=r"write unreachable\(\)"):
        Unsaid().test_a_destination_out_of_reach_is_transient()
