"""How a batch's events become one object's content, and what of them is kept."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.envelope import Envelope
from forkstream.errors import PermanentError, UndecodableError
from forkstream.event import Attribute, Event, Target
from forkstream.formats import Format, FormatName, FormatSettings

NAMES: list[FormatName] = ["ndjson", "json"]
ORDER = b'{"id": 15311, "amount":450.00, "note":"caf\xc3\xa9 \\n \\u2028"}'


def event(body: bytes, id: str = "m-1", **rest: Any) -> Event:  # noqa: A002  # the field's own name
    return Event(body, id=id, **rest)


def enveloped(*events: Event) -> list[dict[str, Any]]:
    data = Format("ndjson", FormatSettings(envelope=True)).render(events).data
    return [json.loads(line) for line in data.splitlines()]


def test_ndjson_is_one_body_a_line_and_keeps_its_bytes() -> None:
    payload = Format().render([event(ORDER), event(b"[1,2]")])

    assert payload.data == ORDER + b"\n[1,2]\n"
    assert payload.content_type == "application/x-ndjson"


def test_json_is_one_array() -> None:
    payload = Format("json").render([event(ORDER), event(b'"x"')])

    assert json.loads(payload.data, parse_float=Decimal) == [
        {"id": 15311, "amount": Decimal("450.00"), "note": "café \n \u2028"},
        "x",
    ]
    assert payload.content_type == "application/json"


def test_a_body_over_several_lines_becomes_one_line_and_keeps_its_digits() -> None:
    body = b'{\r\n  "amount": 450.00,\n  "big": 123456789012345678901,\n  "small": 1e-7,\n  "twice": 1, "twice": 2\n}\n'

    data = Format().render([event(body), event(b"{}")]).data

    assert data == b'{  "amount": 450.00,  "big": 123456789012345678901,  "small": 1e-7,  "twice": 1, "twice": 2}\n{}\n'


@pytest.mark.parametrize(
    "body",
    [b"plain text", b"", b"{", b"NaN", b'{"a":1}{"a":2}', b'"\xff"', b"\xef\xbb\xbf{}", b'"line\nbreak"', b"'x'"],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_json_is_refused_and_named(name: FormatName, body: bytes) -> None:
    with pytest.raises(PermanentError) as refused:
        Format(name).render([event(b"{}", "good"), event(body, "bad")])

    assert refused.value.code == "not_json"
    assert "event bad" in refused.value.detail


def test_halving_a_batch_leaves_the_refused_event_alone() -> None:
    events = [event(b"{}", str(number)) for number in range(8)]
    events[5] = event(b"poison", "5")
    refused, segments = [], [events]
    while segments:
        segment = segments.pop()
        try:
            Format().render(segment)
        except PermanentError:
            half = len(segment) // 2
            segments += [segment[:half], segment[half:]] if half else []
            refused += [] if half else segment

    assert [each.id for each in refused] == ["5"]


def test_json_nested_beyond_what_a_reader_decodes_is_refused() -> None:
    with pytest.raises(PermanentError) as refused:
        Format().render([event(b"[" * 5000 + b"]" * 5000)])

    assert refused.value.code == "nested_too_deep"


@pytest.mark.parametrize("envelope", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_suffix_says_the_format_and_whether_events_are_enveloped(name: FormatName, envelope: bool) -> None:
    suffix = Format(name, FormatSettings(envelope=envelope)).suffix

    assert suffix == (f".envelope.{name}" if envelope else f".{name}")


def test_an_envelope_holds_origin_attributes_and_the_body_in_place() -> None:
    attributes = {
        "amount": Attribute("Number", "450.00"),
        "source": Attribute("String.custom", "web"),
        "digest": Attribute("Binary", b"\x00\xff"),
    }

    [line] = enveloped(event(ORDER, "m-7", sent_at=1544859671.25, attributes=attributes, group="g-1"))

    assert line == {
        "id": "m-7",
        "sent_at": 1544859671.25,
        "attributes": {
            "amount": {"type": "Number", "value": "450.00"},
            "source": {"type": "String.custom", "value": "web"},
            "digest": {"type": "Binary", "value": base64.b64encode(b"\x00\xff").decode()},
        },
        "group": "g-1",
        "body": {"id": 15311, "amount": 450.0, "note": "café \n \u2028"},
    }


def test_an_envelope_says_nothing_of_what_an_event_does_not_have() -> None:
    assert enveloped(event(b"{}", sent_at=1.0)) == [{"id": "m-1", "sent_at": 1.0, "body": {}}]


@pytest.mark.parametrize("body", [b"plain text", b"", b"\x00\xff", b'"\xff"', b"[" * 5000 + b"]" * 5000])
def test_an_envelope_takes_any_body(body: bytes) -> None:
    [line] = enveloped(event(body))

    assert "body" not in line
    assert base64.b64decode(line["body_base64"]) == body


@pytest.mark.parametrize("body", [b'{"a":1}\n', b' {"a":1}', b'{\n"a":1\r\n}'])
def test_an_enveloped_body_can_be_queried_even_where_its_exact_bytes_stand_beside_it(body: bytes) -> None:
    [line] = enveloped(event(body))

    assert line["body"] == {"a": 1}
    assert base64.b64decode(line["body_base64"]) == body


@pytest.mark.parametrize("depth", [100, 190, 210, 700, 780, 850, 1100])
def test_a_body_is_embedded_only_if_a_reader_with_a_deeper_stack_can_decode_it(depth: int) -> None:
    line = Format("ndjson", FormatSettings(envelope=True)).render([event(b"[" * depth + b"]" * depth)]).data

    def read(frames: int) -> Event:
        return read(frames - 1) if frames else msgspec.json.decode(line, type=Envelope).event()

    assert read(150).body == b"[" * depth + b"]" * depth


texts = st.text(st.characters(exclude_categories=["Cs"]))
attributes = st.one_of(
    st.builds(Attribute, st.sampled_from(["String", "Number", "String.x"]), texts),
    st.builds(Attribute, st.sampled_from(["Binary", "Binary.png"]), st.binary()),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(float) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
json_bodies = st.builds(
    lambda value, indent, ascii_, end: (json.dumps(value, indent=indent, ensure_ascii=ascii_) + end).encode(),
    json_values,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sampled_from(["", "\n", " \r\n"]),
)


@given(body=json_bodies)
def test_a_line_means_what_the_body_meant(body: bytes) -> None:
    data = Format().render([event(body)]).data

    assert data.count(b"\n") == 1
    assert json.loads(data) == json.loads(body)


@given(
    body=json_bodies | st.binary(),
    id_=texts,
    sent_at=st.floats(0, 1e11),
    attributes=st.dictionaries(texts, attributes, max_size=3),
    group=st.none() | texts,
    target=st.none() | st.builds(Target, index=texts, id=texts, version=st.none() | st.integers(0, 2**60)),
)
def test_an_envelope_gives_the_event_back_whole(
    *,
    body: bytes,
    id_: str,
    sent_at: float,
    attributes: dict[str, Attribute],
    group: str | None,
    target: Target | None,
) -> None:
    sent = Event(body, id=id_, sent_at=sent_at, attributes=attributes, group=group, target=target)

    line = Format("ndjson", FormatSettings(envelope=True)).render([sent]).data
    read = msgspec.json.decode(line, type=Envelope).event()

    assert line.count(b"\n") == 1
    assert (read.body, read.id, read.sent_at) == (body, id_, sent_at)
    assert (read.attributes, read.group, read.target) == (attributes, group, target)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"id":"a","sent_at":1}', "no_body"),
        (b'{"id":"a","sent_at":1,"body":1,"attributes":{"x":{"type":"Binary","value":"?"}}}', "not_base64"),
    ],
)
def test_a_broken_envelope_is_refused(line: bytes, code: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        msgspec.json.decode(line, type=Envelope).event()

    assert refused.value.code == code
