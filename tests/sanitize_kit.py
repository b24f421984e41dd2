"""A sanitize stage as a config would make it, for the tests of its behaviours."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from forkstream.errors import DeliveryError, PermanentError
from forkstream.event import Event
from forkstream.ports import Context
from forkstream.stages.sanitize import Sanitize, SanitizeConfig

KEY = "6b1f0a1de3c24f7d9a57c1be0f4e2d88"

BODIES_UNTIL_KNOWN = 20
"""After so many bodies of one shape, a stage has compiled what it does with them."""

ORDER = (
    b'{"id":15311,"date":"2018-12-15T23:41:11-08:00","status":"confirmed",'
    b'"customer":{"id":65144,"name":"John Doe","email":"john.doe@example.com"},'
    b'"payment":{"id":2509,"amount":450.00,"currency":"usd","method":"credit","card-network":"visa",'
    b'"card-number":"1234 5678 9012 3456","card-expiry":"10/2022","card-owner":"John Doe","card-cvv":"123"},'
    b'"shipping":{"id":7600,"time":2,"unit":"days","method":"courier"},'
    b'"items":[{"id":6512,"product":8711,"name":"Hockey Jersey - Canucks - Large","quantity":1,"price":400.00,'
    b'"subtotal":400.00},{"id":9954,"product":7600,"name":"Hockey Puck - Bauer","quantity":2,"price":25.00,"subtotal":50.00}]}'
)


def stage(**config: Any) -> Sanitize:
    settings = msgspec.convert(config, SanitizeConfig, dec_hook=lambda type_, value: type_(value))
    return Sanitize(settings, Context(fork="backup"))


def sanitized(body: bytes | str, **config: Any) -> bytes:
    """Sanitise a body with a stage that has met nothing before, and be sure that one that knows its keys does the same."""
    given = body.encode() if isinstance(body, str) else body
    sanitize = stage(**config)
    results = [sanitize(Event(given, id="1")).body for _ in range(BODIES_UNTIL_KNOWN + 1)]
    # members may come in another order, nothing else
    first, *others = (json.loads(result.decode(), parse_int=str, parse_float=str) for result in results)
    assert all(other == first for other in others)
    return results[0]


def refused(body: bytes | str, **config: Any) -> DeliveryError:
    """The error that a body fails with; whatever it is, it is about the event."""
    with pytest.raises(PermanentError) as failed:
        sanitized(body, **config)
    return failed.value
