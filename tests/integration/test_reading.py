"""Reading back: whatever was written, in every format, compression and encryption, comes back as it was."""

from __future__ import annotations

import itertools
import json
import os
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkstream.aws.key_file import KeyFile
from forkstream.errors import PermanentError, UnavailableError
from forkstream.event import Attribute, Event
from forkstream.formats import Format, FormatName, FormatSettings
from forkstream.ports import Context, ObjectInfo, ObjectStage
from forkstream.reading import open_object, read_object
from forkstream.stages.codec import Algorithm
from forkstream.stages.compress import Compress, CompressConfig
from forkstream.stages.encrypt import Encrypt, EncryptConfig

CONTEXT = Context(fork="backup")
FORMATS: list[FormatName] = ["ndjson", "json"]
ALGORITHMS: list[Algorithm] = ["zstd", "gzip", "snappy", "zip", "none"]
COMBINATIONS = list(itertools.product(FORMATS, ALGORITHMS, [False, True]))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "backup.key"
    path.write_bytes(os.urandom(32))
    return path


async def written(form: Format, events: list[Event], *stages: ObjectStage[Any]) -> tuple[str, bytes]:
    """Write as the runtime does: the key is final before anything is rendered, and the stages follow in order."""
    key = "orders/dt=2018-12-15/01JZ" + form.suffix + "".join(stage.suffix for stage in stages)
    steps = [await stage.prepare(ObjectInfo(fork="backup", key=key, events=len(events))) for stage in stages]
    return key, reduce(lambda payload, step: step(payload), steps, form.render(events)).data


def facts(event: Event) -> tuple[Any, ...]:
    return event.body, event.id, event.sent_at, event.attributes, event.group, event.target


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
attributes = st.dictionaries(
    texts,
    st.one_of(
        st.builds(Attribute, st.sampled_from(["String", "Number", "Number.int"]), texts),
        st.builds(Attribute, st.sampled_from(["Binary", "Binary.gif"]), st.binary(max_size=20)),
    ),
    max_size=3,
)
bodies = st.one_of(
    st.binary(max_size=50),
    st.dictionaries(texts, texts | st.integers() | st.lists(texts, max_size=3), max_size=4).flatmap(
        lambda order: st.sampled_from([None, 2]).map(lambda indent: json.dumps(order, indent=indent).encode())
    ),
)
events = st.builds(
    lambda body, id_, sent_at, attributes, group: Event(
        body, id=id_, sent_at=sent_at, attributes=attributes, group=group
    ),
    bodies,
    texts,
    st.floats(0, 1e10),
    attributes,
    st.none() | texts,
)


@pytest.mark.parametrize(("name", "algorithm", "encrypts"), COMBINATIONS)
@given(batch=st.lists(events, min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
async def test_enveloped_events_come_back_whole_and_byte_for_byte(
    key_file: Path, name: FormatName, algorithm: Algorithm, encrypts: bool, batch: list[Event]
) -> None:
    form = Format(name, FormatSettings(envelope=True))
    compress = Compress(CompressConfig(algorithm=algorithm), CONTEXT)
    async with Encrypt(EncryptConfig(key_file=key_file), CONTEXT) as encrypt, KeyFile(key_file) as keys:
        stages = (compress, encrypt) if encrypts else (compress,)
        key, data = await written(form, batch, *stages)
        read = await read_object(key, data, [keys])

    assert [facts(event) for event in read] == [facts(event) for event in batch]


@pytest.mark.parametrize(("name", "algorithm", "encrypts"), COMBINATIONS)
async def test_bodies_alone_come_back_with_names_that_are_the_same_at_every_reading(
    key_file: Path, name: FormatName, algorithm: Algorithm, encrypts: bool
) -> None:
    lines = [b'{"id":15311, "amount":450.00}', b'"text"', b"17", b'{"id":"m-9","sent_at":1,"body":{}}']
    compress = Compress(CompressConfig(algorithm=algorithm), CONTEXT)
    async with Encrypt(EncryptConfig(key_file=key_file), CONTEXT) as encrypt, KeyFile(key_file) as keys:
        stages = (compress, encrypt) if encrypts else (compress,)
        key, data = await written(Format(name), [Event(line, id="m") for line in lines], *stages)
        read = await read_object(key, data, [keys], stored_at=1544859671.0)

    assert [event.body for event in read] == lines
    assert [event.id for event in read] == [f"{key}#{number}" for number in (1, 2, 3, 4)]
    assert {event.sent_at for event in read} == {1544859671.0}


async def test_a_body_that_looks_like_an_envelope_is_not_taken_for_one() -> None:
    looks_like_one = b'{"id":"forged","sent_at":1.0,"attributes":{},"body":{"amount":1}}'

    bare = await read_object(*await written(Format(), [Event(looks_like_one, id="m-1")]))
    enveloped = await read_object(
        *await written(Format(settings=FormatSettings(envelope=True)), [Event(looks_like_one, id="m-1")])
    )

    assert bare[0].body == enveloped[0].body == looks_like_one
    assert bare[0].id != "forged"
    assert enveloped[0].id == "m-1"


async def test_an_object_opens_without_being_read_as_events() -> None:
    assert await open_object("dead/01JZ.ndjson", b"{}\n") == ("dead/01JZ.ndjson", b"{}\n")


@pytest.mark.parametrize(
    ("key", "data", "code"),
    [
        ("orders/01JZ.csv", b"a,b", "unknown_suffix"),
        ("orders/01JZ", b"{}", "unknown_suffix"),
        ("orders/01JZ.json", b"[1,", "damaged_object"),
        ("orders/01JZ.json", b"{}", "damaged_object"),
        ("orders/01JZ.envelope.ndjson", b'{"id":1}\n', "damaged_object"),
        ("orders/01JZ.envelope.ndjson", b'{"id":"a","sent_at":1}\n', "no_body"),
        ("orders/01JZ.ndjson.zst", b"", "damaged_object"),
        ("orders/01JZ.ndjson.encrypted", b"", "damaged_object"),
    ],
)
async def test_what_cannot_be_read_is_refused(key: str, data: bytes, code: str) -> None:
    with pytest.raises(PermanentError) as refused:
        await read_object(key, data)

    assert refused.value.code == code


async def test_without_a_key_an_encrypted_object_says_which_one_it_takes(key_file: Path) -> None:
    async with Encrypt(EncryptConfig(key_file=key_file), CONTEXT) as encrypt:
        key, data = await written(Format(), [Event(b"{}", id="m-1")], encrypt)

    with pytest.raises(UnavailableError) as missing:
        await read_object(key, data)

    assert missing.value.code == "missing_key"
    assert "forkstream" in missing.value.detail
