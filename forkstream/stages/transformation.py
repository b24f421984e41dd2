"""What Firehose asks of a transformation function, and what the function answers."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from forkstream.errors import PermanentError
from forkstream.event import Drop, Event, Failure

Outcome = Event | Drop | Failure
_OVERHEAD = 512
"""Bytes of a request beside its records, and of a record beside its data, amply."""


class Transformation:
    """One invocation for some events: ``request`` is the function's event, ``outcomes`` reads what it returned.

    See "Transform source data in Amazon Data Firehose". A record's id is new for each invocation; its arrival is the
    event's first sending.
    """

    def __init__(self, events: Sequence[Event], *, stream: str, region: str) -> None:
        invocation = str(uuid4())
        self._events = {f"{invocation}-{number}": event for number, event in enumerate(events)}
        self.request: dict[str, Any] = {
            "invocationId": invocation,
            "deliveryStreamArn": f"arn:aws:firehose:{region}:000000000000:deliverystream/{stream}",
            "region": region,
            "records": [
                {
                    "recordId": identity,
                    "approximateArrivalTimestamp": int(event.sent_at * 1000),
                    "data": b64encode(event.body).decode(),
                }
                for identity, event in self._events.items()
            ],
        }

    def outcomes(self, response: object) -> dict[Event, Outcome]:
        """Read the response; a record that is missing, doubled or damaged fails by itself, for good.

        Raises :class:`~forkstream.errors.PermanentError` if it is no response at all.
        """
        records = response.get("records") if isinstance(response, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise PermanentError("bad_response", "the function returned no list of records")
        found = {record.get("recordId"): record for record in records if isinstance(record.get("recordId"), str)}
        if not self._events.keys() & found.keys():
            raise PermanentError("bad_response", "the function returned none of the records")
        times = Counter(str(record.get("recordId")) for record in records)
        return {
            event: _outcome(event, found[identity])
            if times[identity] == 1
            else Failure.permanent(event, "record_missing" if identity not in found else "record_repeated")
            for identity, event in self._events.items()
        }


def _outcome(event: Event, record: dict[str, Any]) -> Outcome:
    match record.get("result"):
        case "Ok":
            try:
                return event.with_(body=b64decode(record["data"], validate=True))
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                return Failure.permanent(event, "bad_data", f"{type(error).__name__}: {error}")
        case "Dropped":
            return Drop("transform_dropped")
        case "ProcessingFailed":
            return Failure.permanent(event, "processing_failed")
        case result:
            return Failure.permanent(event, "bad_result", f"found {result!r}, not Ok, Dropped or ProcessingFailed")


def chunks(events: Sequence[Event], limit: int) -> Iterator[list[Event]]:
    """Split events so that no request has more bytes than ``limit``; an event that alone has more stands alone."""
    chunk: list[Event] = []
    size = _OVERHEAD
    for event in events:
        grows = (len(event.body) + 2) // 3 * 4 + _OVERHEAD
        if chunk and size + grows > limit:
            yield chunk
            chunk, size = [], _OVERHEAD
        chunk.append(event)
        size += grows
    if chunk:
        yield chunk


def encode_request(request: dict[str, Any]) -> bytes:
    """Encode what a function is invoked with."""
    return msgspec.json.encode(request)


def decode_response(response: bytes) -> object:
    """Decode what it returned; raises :class:`~forkstream.errors.PermanentError` for what is no JSON."""
    try:
        return msgspec.json.decode(response)
    except msgspec.DecodeError as error:
        raise PermanentError("bad_response", str(error)) from None
