from __future__ import annotations

import pytest

from forkstream.aws.message_limits import MAX_BYTES, checked_size
from forkstream.aws.queue import OutgoingMessage
from forkstream.errors import PermanentError
from forkstream.event import Attribute

TEXT = Attribute("String", "x")


def outgoing(body: str = "x", /, **attributes: Attribute) -> OutgoingMessage:
    return OutgoingMessage(body=body, attributes=attributes)


def test_attributes_count_with_name_type_and_value() -> None:
    message = outgoing("\u20ac", price=Attribute("Number.int", "10"), blob=Attribute("Binary", b"\xff\xff\xff"))
    assert checked_size(message) == 3 + len("priceNumber.int10") + len("blobBinary") + 3


def test_a_message_of_one_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    attribute = len("aStringx")
    assert checked_size(outgoing("x" * (MAX_BYTES - attribute), a=TEXT)) == MAX_BYTES
    with pytest.raises(PermanentError) as refused:
        checked_size(outgoing("x" * (MAX_BYTES - attribute + 1), a=TEXT))
    assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    "character", ["\t", "\n", "\r", " ", "\x7f", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010ffff"]
)
def test_every_character_of_xml_is_taken(character: str) -> None:
    checked_size(outgoing(character, a=Attribute("String", character)))


@pytest.mark.parametrize("character", [*map(chr, (0, 0x8, 0xB, 0x1F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF))])
def test_a_character_that_sqs_refuses_is_refused_here(character: str) -> None:
    for message, code in (
        (outgoing(f"a{character}b"), "invalid_characters"),
        (outgoing(a=Attribute("String", character)), "invalid_attribute"),
        (outgoing(a=Attribute(f"String.{character}", "x")), "invalid_attribute"),
    ):
        with pytest.raises(PermanentError) as refused:
            checked_size(message)
        assert refused.value.code == code


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(PermanentError) as refused:
        checked_size(outgoing(""))
    assert refused.value.code == "empty_body"


def test_ten_attributes_are_taken_and_eleven_are_not() -> None:
    checked_size(outgoing(**{f"a{n}": TEXT for n in range(10)}))
    with pytest.raises(PermanentError) as refused:
        checked_size(outgoing(**{f"a{n}": TEXT for n in range(11)}))
    assert refused.value.code == "too_many_attributes"


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "awsome", "x" * 256])
def test_a_proper_name_is_taken(name: str) -> None:
    checked_size(OutgoingMessage(body="x", attributes={name: TEXT}))


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "a b", "\u00e9", "AWS.a", "amazon.b", "x" * 257])
def test_a_name_that_sqs_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(PermanentError) as refused:
        checked_size(OutgoingMessage(body="x", attributes={name: TEXT}))
    assert refused.value.code == "invalid_attribute"


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute("String", ""),
        Attribute("Binary", b""),
        Attribute("Binary", "text"),
        Attribute("String", b"bytes"),
        Attribute("Text", "x"),
        Attribute("String.", "x"),
        Attribute("String." + "x" * 250, "x"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(attribute: Attribute) -> None:
    with pytest.raises(PermanentError) as refused:
        checked_size(outgoing(a=attribute))
    assert refused.value.code == "invalid_attribute"
