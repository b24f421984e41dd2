"""Conformance suites: one per port, every rule a named test. Derive a test class from the suite of your plugin's port."""

from forkstream.testing.conformance.async_stage import AsyncStageConformance
from forkstream.testing.conformance.event_sink import EventSinkConformance
from forkstream.testing.conformance.event_stage import EventStageConformance
from forkstream.testing.conformance.object_sink import ObjectSinkConformance
from forkstream.testing.conformance.object_stage import ObjectStageConformance
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.conformance.source import SourceConformance

__all__ = [
    "AsyncStageConformance",
    "EventSinkConformance",
    "EventStageConformance",
    "ObjectSinkConformance",
    "ObjectStageConformance",
    "PluginConformance",
    "SourceConformance",
]
