"""forkstream: events from an SNS topic, through your plugins, into every sink safely.

This module holds what a plugin's author needs; each name is documented where it is defined.
"""

from forkstream.errors import (
    ConfigError,
    DeliveryError,
    ForkstreamError,
    PermanentError,
    PluginError,
    TransientError,
    UnavailableError,
    UndecodableError,
)
from forkstream.event import Attribute, Drop, Event, Failure, FailureKind, Json, Target
from forkstream.ports import (
    AsyncStage,
    Backlog,
    BatchDefaults,
    Context,
    EventSink,
    EventStage,
    ObjectInfo,
    ObjectSink,
    ObjectStage,
    Payload,
    Permission,
    Plugin,
    Receipt,
    Refusal,
    Source,
)
from forkstream.settings import AwsSettings, Duration, Rate, Secret, Settings, Size

__all__ = [
    "AsyncStage",
    "Attribute",
    "AwsSettings",
    "Backlog",
    "BatchDefaults",
    "ConfigError",
    "Context",
    "DeliveryError",
    "Drop",
    "Duration",
    "Event",
    "EventSink",
    "EventStage",
    "Failure",
    "FailureKind",
    "ForkstreamError",
    "Json",
    "ObjectInfo",
    "ObjectSink",
    "ObjectStage",
    "Payload",
    "PermanentError",
    "Permission",
    "Plugin",
    "PluginError",
    "Rate",
    "Receipt",
    "Refusal",
    "Secret",
    "Settings",
    "Size",
    "Source",
    "Target",
    "TransientError",
    "UnavailableError",
    "UndecodableError",
]
