"""Events to test with: good ones by the dozen, and the odd bodies that a queue brings sooner or later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from forkstream.event import Attribute, Event, Json, Target, encode_json

ODD_BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "spaces": b"  \n",
    "not UTF-8": b'{"name":"\xff\xfe"}',
    "not JSON": b"{'single': quotes}",
    "cut off": b'{"id":1,"name":"Ad',
    "null": b"null",
    "a list": b'[{"id":1}]',
    "a string": b'"text"',
    "wrong types": b'{"id":{},"name":[null],"amount":"much"}',
    "NUL and line breaks": b'{"name":"a\\u0000b\\r\\n"}\n',
    "lone surrogate": b'{"name":"\\ud800"}',
    "number beyond every type": b'{"id":1e999999999,"amount":123456789012345678901234567890.5}',
    "deep": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    "1 MiB": b'{"fill":"' + b"x" * (2**20 - 11) + b'"}',
}
"""Bodies by what is odd about them. The last is as large as an SQS message can be (1 MiB, see "Amazon SQS message quotas")."""


def make_events(
    count: int,
    *,
    start: int = 0,
    groups: int = 0,
    size: int = 0,
    attributes: Mapping[str, Attribute] | None = None,
    index: str | None = None,
) -> list[Event]:
    """Make ``count`` events with the ids ``"0"``, ``"1"``, … and bodies such as ``{"id":0,"name":"event 0","amount":0.5}``.

    ``start`` is the first number. ``groups`` deals the events in turn to that many ordering groups. ``size`` fills
    each body up to at least that many bytes. ``index`` gives each the target that an ``index`` stage would give, with
    its number as document id and version 1.
    """
    return [
        Event(
            _body(number, size),
            id=str(number),
            sent_at=1_700_000_000.0 + number,
            attributes=dict(attributes or {}),
            group=f"g{number % groups}" if groups else None,
            target=None if index is None else Target(index, str(number), version=1),
        )
        for number in range(start, start + count)
    ]


def _body(number: int, size: int) -> bytes:
    data: dict[str, Json] = {"id": number, "name": f"event {number}", "amount": number + 0.5}
    return encode_json(data | {"fill": "x" * size} if size else data)


def make_batches(count: int, *, events: int, start: int = 0) -> list[list[Event]]:
    """Make ``count`` batches of ``events`` events each; the ids go on from batch to batch."""
    return [make_events(events, start=start + number * events) for number in range(count)]


def make_odd(events: Iterable[Event]) -> dict[str, Event]:
    """Give good events odd bodies, one each, by what is odd: id, attributes, group and target stay. Takes as many as it needs."""
    return {oddity: event.with_(body=body) for (oddity, body), event in zip(ODD_BODIES.items(), events, strict=False)}
