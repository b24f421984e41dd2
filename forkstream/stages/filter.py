"""The ``filter`` stage: an SNS filter policy, also for what no subscription can filter any more."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Attribute, Drop, Event, decode_json
from forkstream.ports import Context, EventStage
from forkstream.settings import Settings
from forkstream.stages.policy import FilterPolicy

_ARRAY = re.compile(r"(?:String|Number)\.Array")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")


class FilterConfig(Settings):
    """Which events go on, and what becomes of the others."""

    policy: Annotated[
        dict[str, object],
        Meta(
            description='a filter policy as SNS takes it, such as {"amount": [{"numeric": [">=", 100]}]}', min_length=1
        ),
    ]
    unmatched: Annotated[
        Literal["drop", "dead"],
        Meta(
            description="drop: settle what does not fit, counted and gone; dead: send it to the dead letters, where it"
            " counts for dead_letter.max_ratio"
        ),
    ]
    scope: Annotated[
        Literal["attributes", "body"],
        Meta(description="attributes: the message attributes decide; body: the JSON of the body does"),
    ] = "attributes"


class Filter(EventStage[FilterConfig]):
    """Lets events pass that fit a filter policy of SNS.

    A body that is no JSON object fits no policy, as at SNS; it is dropped, or dead, under a reason of its own
    (``invalid_body``; SNS counts ``FilteredOut-InvalidMessageBody``). Binary attributes are ignored.
    """

    def __init__(self, config: FilterConfig, context: Context) -> None:
        super().__init__(config, context)
        self._policy = FilterPolicy(config.policy, nested=config.scope == "body")

    @property
    def attributes_named(self) -> Collection[str]:
        return () if self.config.scope == "body" else [name for name in self.config.policy if name != "$or"]

    def __call__(self, event: Event) -> Event | Drop:
        message = _body(event) if self.config.scope == "body" else _values(event)
        if message is not None and self._policy(message):
            return event
        reason = "invalid_body" if message is None else "unmatched"
        if self.config.unmatched == "dead":
            raise PermanentError(reason)
        return Drop(reason)


def _body(event: Event) -> dict[str, object] | None:
    try:
        data = event.data
    except UndecodableError:
        return None
    return {**data} if isinstance(data, dict) else None


def _values(event: Event) -> dict[str, object]:
    values = ((name, _value(attribute)) for name, attribute in event.attributes.items())
    return {name: value for name, value in values if value is not msgspec.UNSET}


def _value(attribute: Attribute) -> object:
    """Read an attribute's value as JSON would have it; UNSET if SNS ignores it."""
    value = attribute.value
    if isinstance(value, bytes):
        return msgspec.UNSET
    if _ARRAY.fullmatch(attribute.type):
        try:
            return decode_json(value.encode(errors="surrogatepass"))
        except UndecodableError:
            return value
    if attribute.type.startswith("Number") and _NUMBER.fullmatch(value):
        return Decimal(value)
    return value
