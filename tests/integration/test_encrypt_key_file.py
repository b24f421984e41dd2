"""Objects under a key in a file: the stock AWS Encryption SDK reads them, and nothing that was tampered with."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

# the SDK ships no types
import aws_encryption_sdk  # type: ignore[import-untyped]
import pytest
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError  # type: ignore[import-untyped]
from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm  # type: ignore[import-untyped]
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey  # type: ignore[import-untyped]
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidTag

from forkstream.aws.key_file import KeyFile
from forkstream.errors import PermanentError, UnavailableError
from forkstream.ports import Context, ObjectInfo, Payload
from forkstream.reading import open_object
from forkstream.stages.data_key_cache import DataKeyCacheSettings
from forkstream.stages.encrypt import Encrypt, EncryptConfig

KEY = bytes(range(100, 228, 4))
FRAME = 64 * 2**10
ABOUT = ObjectInfo(fork="backup", key="orders/01J.ndjson.encrypted", events=1)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "backup.key"
    path.write_bytes(base64.b64encode(KEY) + b"\n")
    return path


class StockProvider(RawMasterKeyProvider):  # type: ignore[misc]  # the SDK ships no types
    """What the SDK's documentation asks of a user who has a raw AES key."""

    provider_id = "forkstream"

    def _get_raw_key(self, key_id: bytes) -> Any:
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=KEY,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def stock_decrypt(message: bytes) -> tuple[bytes, Any]:
    provider = StockProvider()
    provider.add_master_key(hashlib.sha256(KEY).hexdigest()[:16])
    plaintext, header = aws_encryption_sdk.EncryptionSDKClient().decrypt(source=message, key_provider=provider)
    return plaintext, header


async def encrypted(path: Path, data: bytes) -> bytes:
    async with Encrypt(EncryptConfig(key_file=path), Context(fork="backup")) as stage:
        return (await stage.prepare(ABOUT))(Payload(data=data, content_type="application/x-ndjson")).data


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 1_000_000])
async def test_the_stock_sdk_reads_it_with_a_raw_aes_key(key_file: Path, size: int) -> None:
    data = os.urandom(size)

    plaintext, header = stock_decrypt(await encrypted(key_file, data))

    assert plaintext == data
    assert header.encryption_context == {"forkstream:fork": "backup", "forkstream:key": ABOUT.key}


async def test_frames_are_64_kib_and_the_suite_commits_to_its_key(key_file: Path) -> None:
    message = await encrypted(key_file, os.urandom(200_000))

    # the format's own description: version, suite, message id, context, data keys, content type, frame length
    version, suite = struct.unpack_from(">BH", message)
    assert (version, suite) == (2, Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY.algorithm_id)
    position = 3 + 32
    (context,) = struct.unpack_from(">H", message, position)
    position += 2 + context
    (data_keys,) = struct.unpack_from(">H", message, position)
    assert data_keys == 1
    position += 2
    for _ in range(3):  # provider, key name, wrapped key
        (length,) = struct.unpack_from(">H", message, position)
        position += 2 + length
    content_type, frame_length = struct.unpack_from(">BI", message, position)
    assert (content_type, frame_length) == (2, FRAME)


async def test_the_key_may_stand_in_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "raw.key"
    path.write_bytes(KEY)

    assert stock_decrypt(await encrypted(path, b"order"))[0] == b"order"


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"a passphrase of 32 characters!!!", KEY.hex().encode(), base64.b64encode(KEY[:16]), KEY + b"\n"],
    ids=["empty", "short", "passphrase", "hexadecimal", "128 bits", "33 bytes"],
)
async def test_what_is_no_key_halts_the_fork_and_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(content)

    with pytest.raises(UnavailableError) as halted:
        await encrypted(path, b"order")

    assert str(path) in halted.value.detail
    assert "expected 32 random bytes" in halted.value.detail


async def test_a_missing_file_halts_the_fork_and_the_stage_opens_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "late.key"
    stage = Encrypt(EncryptConfig(key_file=path), Context(fork="backup"))
    with pytest.raises(UnavailableError, match="key_file"):
        async with stage:
            pass

    path.write_bytes(KEY)
    async with stage:
        await stage.check()
        path.unlink()
        with pytest.raises(UnavailableError):
            await stage.check()


async def test_a_single_flipped_bit_anywhere_is_found(key_file: Path) -> None:
    message = await encrypted(key_file, b'{"id":15311}')
    async with KeyFile(key_file) as keys:
        assert await open_object(ABOUT.key, message, [keys]) == ("orders/01J.ndjson", b'{"id":15311}')
        for position in range(len(message)):
            flipped = bytearray(message)
            flipped[position] ^= 1
            with pytest.raises((AWSEncryptionSDKClientError, InvalidTag)):
                stock_decrypt(bytes(flipped))
            with pytest.raises((PermanentError, UnavailableError)):
                await open_object(ABOUT.key, bytes(flipped), [keys])


async def test_a_message_cut_off_anywhere_is_found(key_file: Path) -> None:
    data = os.urandom(2 * FRAME)
    message = await encrypted(key_file, data)
    end = len(message)
    frame = 4 + 12 + FRAME + 16  # sequence number, IV, content, tag
    final = 4 + 4 + 12 + 4 + 16
    cuts = [end - 1, end - final, end - final - frame, end - final - 2 * frame, 10, 0]
    async with KeyFile(key_file) as keys:
        for cut in cuts:
            with pytest.raises(PermanentError) as refused:
                await open_object(ABOUT.key, message[:cut], [keys])
            assert refused.value.code == "damaged_object"


async def test_an_object_in_anothers_place_is_not_read_but_a_copy_elsewhere_is(key_file: Path) -> None:
    message = await encrypted(key_file, b'{"id":15311}')
    async with KeyFile(key_file) as keys:
        with pytest.raises(PermanentError) as refused:
            await open_object("orders/01K.ndjson.encrypted", message, [keys])
        assert refused.value.code == "misplaced_object"
        assert (await open_object(f"copies/{ABOUT.key}", message, [keys]))[1] == b'{"id":15311}'


async def test_the_key_that_fits_is_found_among_several_and_a_missing_one_is_named(
    key_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(os.urandom(32))
    message = await encrypted(key_file, b"order")
    async with KeyFile(other) as first, KeyFile(key_file) as second:
        assert (await open_object(ABOUT.key, message, [first, second]))[1] == b"order"
        with pytest.raises(UnavailableError) as missing:
            await open_object(ABOUT.key, message, [first])

    assert hashlib.sha256(KEY).hexdigest()[:16] in missing.value.detail


async def test_a_message_of_another_suite_is_not_read_unverified(key_file: Path) -> None:
    provider = StockProvider()
    provider.add_master_key(hashlib.sha256(KEY).hexdigest()[:16])
    signed, _ = aws_encryption_sdk.EncryptionSDKClient().encrypt(source=b"order", key_provider=provider)

    async with KeyFile(key_file) as keys:
        with pytest.raises(PermanentError) as refused:
            await open_object("01J.ndjson.encrypted", signed, [keys])

    assert refused.value.code == "foreign_message"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EncryptConfig(), "exactly one of kms_key and key_file, found 0"),
        (EncryptConfig(kms_key="alias/a", key_file=Path("k")), "exactly one of kms_key and key_file, found 2"),
        (EncryptConfig(key_file=Path("k"), data_key_cache=DataKeyCacheSettings()), "key_file makes none"),
    ],
)
def test_settings_that_do_not_go_together_are_config_errors(config: EncryptConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encrypt(config, Context(fork="backup"))
