"""Compressed objects: the tools of each format read them, and their name says how they are compressed."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import cramjam
import pytest
import zstandard

from forkstream.errors import UndecodableError
from forkstream.ports import Context, ObjectInfo, Payload
from forkstream.stages.codec import Algorithm, decompress
from forkstream.stages.compress import Compress, CompressConfig

DATA = b"".join(b'{"id":%d,"amount":450.00}\n' % number for number in range(5000))
COMPRESSED: list[Algorithm] = ["zstd", "gzip", "snappy", "zip"]
LEVELS: list[tuple[Algorithm, list[int]]] = [
    ("zstd", [1, 3, 9, 19]),
    ("gzip", [1, 2, 3, 4, 6, 9]),
    ("zip", [1, 6, 9]),
]


def stage(algorithm: Algorithm, level: int | None = None) -> Compress:
    return Compress(CompressConfig(algorithm=algorithm, level=level), Context(fork="backup"))


async def compressed(
    algorithm: Algorithm, level: int | None = None, key: str | None = None, data: bytes = DATA
) -> Payload:
    compress = stage(algorithm, level)
    about = ObjectInfo(fork="backup", key=key or f"orders/01J.ndjson{compress.suffix}", events=5000)
    return (await compress.prepare(about))(Payload(data=data, content_type="application/x-ndjson", metadata={"a": "b"}))


def output(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


async def test_zstd_is_read_by_stock_zstandard_and_names_its_size_and_checksum() -> None:
    payload = await compressed("zstd")

    assert zstandard.ZstdDecompressor().decompress(payload.data) == DATA
    frame = zstandard.get_frame_parameters(payload.data)
    assert (frame.content_size, frame.has_checksum) == (len(DATA), True)
    assert payload.content_type == "application/zstd"


async def test_gzip_is_read_by_stock_gzip() -> None:
    payload = await compressed("gzip")

    assert gzip.decompress(payload.data) == DATA
    assert payload.content_type == "application/gzip"


@pytest.mark.parametrize(("algorithm", "tool"), [("zstd", "zstd"), ("gzip", "gzip")])
async def test_the_command_line_tools_read_it(algorithm: Algorithm, tool: str, tmp_path: Path) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"no {tool} on this machine")
    file = tmp_path / f"object{stage(algorithm).suffix}"
    file.write_bytes((await compressed(algorithm)).data)

    assert output(program, "-dc", str(file)) == DATA


async def test_snappy_has_the_framing_format_that_other_readers_expect() -> None:
    payload = await compressed("snappy")

    assert unframed(payload.data) == DATA
    assert bytes(cramjam.snappy.decompress(payload.data)) == DATA
    assert payload.content_type == "application/x-snappy-framed"


async def test_zip_holds_one_file_named_as_the_object_was_before() -> None:
    payload = await compressed("zip", key="orders/dt=2018-12-15/01J.zip.d/01J.ndjson.zip.encrypted")

    with zipfile.ZipFile(io.BytesIO(payload.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["01J.ndjson"]
        assert archive.read("01J.ndjson") == DATA
    assert payload.content_type == "application/zip"


async def test_none_changes_nothing() -> None:
    payload = await compressed("none")

    assert payload == Payload(data=DATA, content_type="application/x-ndjson", metadata={"a": "b"})
    assert stage("none").suffix == ""


def test_the_suffix_is_that_of_the_formats_own_tools() -> None:
    assert [stage(algorithm).suffix for algorithm in COMPRESSED] == [".zst", ".gz", ".sz", ".zip"]


@pytest.mark.parametrize("algorithm", COMPRESSED)
async def test_metadata_is_kept(algorithm: Algorithm) -> None:
    assert (await compressed(algorithm)).metadata == {"a": "b"}


@pytest.mark.parametrize("algorithm", COMPRESSED)
async def test_the_same_input_gives_the_same_bytes(algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await compressed(algorithm)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setattr("time.localtime", lambda _=None: (2033, 5, 18, 3, 33, 20, 2, 138, 0))

    assert (await compressed(algorithm)).data == first.data


@pytest.mark.parametrize(("algorithm", "levels"), LEVELS)
async def test_every_level_is_readable_and_the_highest_is_smaller_than_the_lowest(
    algorithm: Algorithm, levels: list[int]
) -> None:
    sizes = []
    for level in levels:
        payload = await compressed(algorithm, level)
        assert decompress(payload.data, stage(algorithm).suffix) == DATA
        sizes.append(len(payload.data))

    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize(
    ("algorithm", "level", "message"),
    [
        ("zstd", 23, "zstd takes 1 to 22, found 23"),
        ("zstd", 0, "zstd takes 1 to 22, found 0"),
        ("gzip", 10, "gzip takes 1 to 9, found 10"),
        ("zip", 0, "zip takes 1 to 9, found 0"),
        ("snappy", 1, "snappy has no levels"),
        ("none", 1, "none has no levels"),
    ],
)
def test_a_level_that_does_not_fit_is_a_config_error_that_says_what_would(
    algorithm: Algorithm, level: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        stage(algorithm, level)


@pytest.mark.parametrize("algorithm", COMPRESSED)
async def test_damage_is_found_at_reading(algorithm: Algorithm) -> None:
    suffix = stage(algorithm).suffix
    good = (await compressed(algorithm)).data
    flipped = good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 0x55]) + good[len(good) // 2 + 1 :]

    for damaged in (b"", b"nothing of the kind", flipped, good[: len(good) // 2], good[:-3]):
        with pytest.raises(UndecodableError) as refused:
            decompress(damaged, suffix)
        assert refused.value.code == "damaged_object"


@pytest.mark.parametrize("algorithm", ["zstd", "gzip", "snappy"])
async def test_objects_that_were_joined_are_read_to_their_end(algorithm: Algorithm) -> None:
    payload = await compressed(algorithm)

    assert decompress(payload.data * 2, stage(algorithm).suffix) == DATA * 2


def test_another_suffix_is_no_compression() -> None:
    assert decompress(b"x", ".ndjson") is None


def unframed(data: bytes) -> bytes:
    """Read snappy's framing format by its description: chunks of a type, a 3-byte length and a masked CRC-32C."""
    assert data.startswith(b"\xff\x06\x00\x00sNaPpY")
    content, position = b"", 10
    while position < len(data):
        kind, length = data[position], int.from_bytes(data[position + 1 : position + 4], "little")
        chunk = data[position + 4 : position + 4 + length]
        assert kind in (0x00, 0x01)
        (checksum,) = struct.unpack_from("<I", chunk)
        plain = bytes(cramjam.snappy.decompress_raw(chunk[4:])) if kind == 0x00 else chunk[4:]
        assert len(plain) <= 65536
        crc = crc32c(plain)
        assert checksum == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        content, position = content + plain, position + 4 + length
    return content


def crc32c(data: bytes) -> int:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901  # the polynomial's long division
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
