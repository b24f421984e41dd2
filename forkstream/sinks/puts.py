"""The puts that a batch of rows comes to: equal keys collapsed, order kept within a group."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from forkstream.aws.table import Item
from forkstream.errors import PermanentError
from forkstream.event import Event, Failure
from forkstream.sinks.item import KeyType, Row, identity, to_item


class Put(msgspec.Struct, eq=False):
    """One row to put, and the events that are settled by it: the one it came from, and older ones of the same key."""

    row: Row
    key: tuple[Any, ...]
    events: list[Event]
    json: bytes
    """The item as the wire has it."""

    # Measured, µs a row of six columns, 500 a batch: 0.3 to encode its item at once and let go of it, 0.9 when all of
    # the batch's are there and out of the cache.

    @property
    def item(self) -> Item:
        """The item as values, made anew: few look at it."""
        return to_item(self.row)

    def take(self, put: Put, *, newer: bool) -> None:
        """Settle another put's events too, and put its row where it is the newer one."""
        self.events += put.events
        if newer:
            self.row, self.json = put.row, put.json


MAX_ITEMS = 25
"""Items of one BatchWriteItem, see there; its other limit is 16 MB."""
_BATCH_BYTES = 512 * 2**10
"""Bytes of one request, roughly: enough for 25 common rows, and little enough not to hold up the loop while it is sent."""

Lane: TypeAlias = "list[Put]"
"""Puts that go one after the other; different lanes go at the same time."""


def plan(
    rows: Sequence[tuple[Event, Row]], *, key: Mapping[str, KeyType], version: str | None
) -> tuple[list[Lane], list[Failure]]:
    """Turn rows into lanes of puts, and name the events whose row has no exact form.

    Rows of one key collapse into one put, the newest by ``version`` (without one, and among equals, the last),
    since a queue repeats itself and BatchWriteItem refuses a key that stands in it twice. Where writes are
    compared by version, the events of an ordering group share a lane instead and keep their order: behind one
    that is no item, no later one of its group is put.
    """
    if version is None:
        return _plan_unordered(rows, key)
    lanes: dict[Hashable, Lane] = {}
    failures: list[Failure] = []
    stopped: set[str | None] = set()
    for event, row in rows:
        if event.group in stopped:
            failures.append(Failure.transient(event, "behind_failed"))
            continue
        try:
            put = _put(event, row, key)
            age = version_of(put.item, version)
        except PermanentError as error:
            failures.append(Failure.permanent(event, error.code, error.detail))
            stopped.update({event.group} - {None})
            continue
        if event.group is not None:
            lanes.setdefault(("group", event.group), []).append(put)
            continue
        # versions of different types cannot be compared: the table decides between them
        lane = lanes.setdefault(("key", put.key, type(age)), [])
        if not lane:
            lane.append(put)
        else:
            lane[0].take(put, newer=_at_least(put.item, lane[0].item, version))
    return list(lanes.values()), failures


def _plan_unordered(rows: Sequence[tuple[Event, Row]], key: Mapping[str, KeyType]) -> tuple[list[Lane], list[Failure]]:
    """Give each key the last of its rows, in a lane of its own."""
    puts: dict[tuple[Any, ...], Put] = {}
    failures: list[Failure] = []
    for event, row in rows:
        try:
            put = _put(event, row, key)
        except PermanentError as error:
            failures.append(Failure.permanent(event, error.code, error.detail))
            continue
        kept = puts.setdefault(put.key, put)
        if kept is not put:
            kept.take(put, newer=True)
    return [[put] for put in puts.values()], failures


def batches(lanes: Sequence[Lane]) -> list[list[Put]]:
    """Divide puts among requests of 25 items and half a MiB; a larger item goes alone."""
    requests: list[list[Put]] = []
    room = 0
    for put in (put for lane in lanes for put in lane):
        size = len(put.json)
        if not requests or len(requests[-1]) == MAX_ITEMS or size > room:
            requests.append([])
            room = _BATCH_BYTES
        requests[-1].append(put)
        room -= size
    return requests


def version_of(item: Item, column: str) -> Decimal | str:
    """Read the version of an item: a number, or a string that sorts by age, such as an ISO 8601 time in UTC."""
    value = item.get(column)
    match value:
        case {"N": str(number)}:
            return Decimal(number)
        case {"S": str(text)} if text:
            return text
        case None:
            raise PermanentError("version_missing", f"{column} is the row's version and missing")
    raise PermanentError("version_type", f"{column} is the row's version and neither a number nor a string: {value!r}")


_encode = msgspec.json.Encoder().encode


def _put(event: Event, row: Row, key: Mapping[str, KeyType]) -> Put:
    item = to_item(row)
    return Put(row, identity(item, key), [event], _encode(item))


def _at_least(new: Item, old: Item, version: str) -> bool:
    """Compare two versions of one type, which `plan` has seen to; bytes order as DynamoDB orders strings."""
    left, right = version_of(new, version), version_of(old, version)
    if isinstance(left, str) and isinstance(right, str):
        return left.encode() >= right.encode()
    return left >= right  # type: ignore[operator]  # both are numbers here
