from __future__ import annotations

from hashlib import md5
from typing import Any

import msgspec
import pytest

from forkstream.aws.checksum import attributes_md5, intact
from forkstream.aws.queue import ReceivedMessage
from forkstream.event import Attribute

ATTRIBUTES = {"b": Attribute("Binary.png", b"\xff\x00"), "a": Attribute("Number", "1\u20ac")}
AS_DOCUMENTED = (
    b"\0\0\0\x01a" b"\0\0\0\x06Number" b"\x01" b"\0\0\0\x041\xe2\x82\xac"
    b"\0\0\0\x01b" b"\0\0\0\x0aBinary.png" b"\x02" b"\0\0\0\x02\xff\x00"
)  # fmt: skip


def message(**changes: Any) -> ReceivedMessage:
    sound = ReceivedMessage(
        id="1",
        receipt="r",
        body=b"hello",
        body_md5="5d41402abc4b2a76b9719d911017c592",
        attributes=ATTRIBUTES,
        attributes_md5=md5(AS_DOCUMENTED, usedforsecurity=False).hexdigest(),
        sent_at=0,
        receive_count=1,
        group=None,
    )
    return msgspec.structs.replace(sound, **changes)


def test_attributes_are_summed_as_sqs_documents_it() -> None:
    assert attributes_md5(ATTRIBUTES) == md5(AS_DOCUMENTED, usedforsecurity=False).hexdigest()


def test_a_message_is_intact_if_both_sums_are_right() -> None:
    assert intact([message()])
    assert intact([message(attributes={}, attributes_md5=None)])
    assert intact([message(attributes={}, attributes_md5="")])


@pytest.mark.parametrize(
    "damage",
    [
        {"body": b"hellp"},
        {"attributes": {}},
        {"attributes": ATTRIBUTES | {"a": Attribute("Number", "2")}},
        {"attributes": ATTRIBUTES | {"a": Attribute("String", "1\u20ac")}},
    ],
)
def test_a_changed_byte_shows(damage: dict[str, Any]) -> None:
    assert not intact([message(**damage)])
