"""Objects under a KMS key: the stock AWS Encryption SDK reads them, and KMS is called no more often than must be."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

# neither ships types
import aws_encryption_sdk  # type: ignore[import-untyped]
import boto3  # type: ignore[import-untyped]
import botocore.session
import pytest
import pytest_asyncio
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError  # type: ignore[import-untyped]

from forkstream.aws.kms_keys import KmsKeys
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.ports import Context, ObjectInfo, Payload
from forkstream.reading import open_object
from forkstream.settings import AwsSettings, Size
from forkstream.stages.data_key_cache import DataKeyCacheSettings
from forkstream.stages.encrypt import Encrypt, EncryptConfig
from tests.servers.aws_relay import AwsRelay, aws_relay

DATA = b'{"id":15311,"amount":450.00}\n' * 10_000
FORK_CONTEXT = {"forkstream:fork": "backup"}


@pytest.fixture
def kms(aws: EmbeddedAws) -> Iterator[Any]:
    client = boto3.client("kms")
    yield client
    client.close()


@pytest.fixture
def key_arn(kms: Any) -> str:
    arn: str = kms.create_key()["KeyMetadata"]["Arn"]
    return arn


@pytest_asyncio.fixture
async def relay(aws: EmbeddedAws) -> AsyncIterator[AwsRelay]:
    async with aws_relay(aws.endpoint_url) as relay:
        yield relay


def encrypt(key: str, relay: AwsRelay | None = None, cache: DataKeyCacheSettings | None = None) -> Encrypt:
    config = EncryptConfig(kms_key=key, data_key_cache=cache)
    return Encrypt(config, Context(fork="backup", aws=AwsSettings(endpoint_url=relay.url if relay else None)))


def info(number: int = 1) -> ObjectInfo:
    return ObjectInfo(fork="backup", key=f"orders/{number}.ndjson.encrypted", events=1)


def payload(data: bytes = DATA) -> Payload:
    return Payload(data=data, content_type="application/x-ndjson", metadata={"a": "b"})


def stock_decrypt(message: bytes, key_arn: str) -> tuple[bytes, Any]:
    """Read as a user would: the stock client, its default commitment policy, its strict KMS provider."""
    provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(
        key_ids=[key_arn], botocore_session=botocore.session.Session()
    )
    try:
        plaintext, header = aws_encryption_sdk.EncryptionSDKClient().decrypt(source=message, key_provider=provider)
        return plaintext, header
    finally:
        for client in provider._regional_clients.values():
            client.close()


async def test_the_stock_sdk_reads_it_with_its_kms_provider(key_arn: str) -> None:
    async with encrypt(key_arn) as stage:
        written = (await stage.prepare(info()))(payload())

    plaintext, header = stock_decrypt(written.data, key_arn)
    assert plaintext == DATA
    assert header.encryption_context == {**FORK_CONTEXT, "forkstream:key": "orders/1.ndjson.encrypted"}
    assert [key.key_provider.key_info.decode() for key in header.encrypted_data_keys] == [key_arn]
    assert (written.content_type, written.metadata) == ("application/octet-stream", {"a": "b"})


@pytest.mark.parametrize("given", ["id", "arn", "alias", "alias arn"])
async def test_a_key_is_taken_in_every_form_and_named_by_its_arn(
    kms: Any, key_arn: str, unique: str, given: str
) -> None:
    kms.create_alias(AliasName=f"alias/{unique}", TargetKeyId=key_arn)
    forms = {
        "id": key_arn.rpartition("/")[2],
        "arn": key_arn,
        "alias": f"alias/{unique}",
        "alias arn": f"{key_arn.rpartition(':')[0]}:alias/{unique}",
    }
    async with encrypt(forms[given]) as stage:
        message = (await stage.prepare(info()))(payload()).data

    assert stock_decrypt(message, key_arn)[0] == DATA
    async with KmsKeys(forms[given], AwsSettings()) as keys:
        assert await open_object(info().key, message, [keys]) == ("orders/1.ndjson", DATA)


async def test_an_alias_is_resolved_at_start_and_not_followed_afterwards(kms: Any, key_arn: str, unique: str) -> None:
    kms.create_alias(AliasName=f"alias/{unique}", TargetKeyId=key_arn)
    async with encrypt(f"alias/{unique}") as stage:
        kms.update_alias(AliasName=f"alias/{unique}", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        message = (await stage.prepare(info()))(payload()).data

    assert stock_decrypt(message, key_arn)[0] == DATA


async def test_each_object_has_a_data_key_of_its_own(key_arn: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay) as stage:
        messages = [(await stage.prepare(info(number)))(payload()).data for number in range(5)]

    assert relay.calls == {"GenerateDataKey": 5}
    contexts = [request["EncryptionContext"] for request in relay.requests]
    assert contexts == [{**FORK_CONTEXT, "forkstream:key": info(number).key} for number in range(5)]
    assert all(stock_decrypt(message, key_arn)[0] == DATA for message in messages)


async def test_with_a_data_key_cache_five_objects_cost_one_call(key_arn: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay, DataKeyCacheSettings()) as stage:
        messages = [(await stage.prepare(info(number)))(payload()).data for number in range(5)]

    assert relay.calls == {"GenerateDataKey": 1}
    read = [stock_decrypt(message, key_arn) for message in messages]
    assert [plaintext for plaintext, _ in read] == [DATA] * 5
    assert [header.encryption_context for _, header in read] == [FORK_CONTEXT] * 5
    assert len({header.message_id for _, header in read}) == 5


async def test_the_cache_counts_the_bytes_of_the_objects(key_arn: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay, DataKeyCacheSettings(bytes=Size(2 * len(DATA)))) as stage:
        for number in range(5):
            (await stage.prepare(info(number)))(payload())

    assert relay.calls == {"GenerateDataKey": 3}


@pytest.mark.parametrize("cache", [None, DataKeyCacheSettings()])
async def test_what_prepare_returns_needs_no_kms(
    key_arn: str, relay: AwsRelay, cache: DataKeyCacheSettings | None
) -> None:
    async with encrypt(key_arn, relay, cache) as stage:
        run: Callable[[Payload], Payload] = await stage.prepare(info())
    relay.refusal = (500, "KMSInternalException", "no call is expected any more")

    assert stock_decrypt(run(payload()).data, key_arn)[0] == DATA
    assert relay.calls == {"GenerateDataKey": 1}


async def test_a_check_is_a_dry_run_under_the_permission_that_writing_takes(key_arn: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay) as stage:
        # what KMS answers where the call would have succeeded; the embedded one makes a key instead
        relay.refusal = (400, "DryRunOperationException", "")
        await stage.check()

    [request] = relay.requests
    assert request["DryRun"] is True
    assert request["KeyId"] == key_arn
    assert set(request["EncryptionContext"]) == {"forkstream:fork", "forkstream:key"}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "AccessDeniedException"),
        (400, "DisabledException"),
        (400, "KMSInvalidStateException"),
        (400, "NotFoundException"),
        (400, "InvalidKeyUsageException"),
        (400, "UnrecognizedClientException"),
        (400, "ExpiredTokenException"),
    ],
)
@pytest.mark.parametrize("what", ["prepare", "check"])
async def test_what_someone_has_to_mend_halts_the_fork_and_names_permission_and_key(
    key_arn: str, relay: AwsRelay, status: int, code: str, what: str
) -> None:
    async with encrypt(key_arn, relay) as stage:
        relay.refusal = (status, code, "some words")
        with pytest.raises(UnavailableError) as halted:
            await (stage.prepare(info()) if what == "prepare" else stage.check())

    assert f"kms:GenerateDataKey on {key_arn}" in halted.value.detail
    assert code in halted.value.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "ThrottlingException"), (500, "KMSInternalException"), (500, "KeyUnavailableException"), (503, "")],
)
async def test_what_passes_by_itself_is_retried(key_arn: str, relay: AwsRelay, status: int, code: str) -> None:
    async with encrypt(key_arn, relay) as stage:
        relay.refusal = (status, code, "some words")
        with pytest.raises(TransientError):
            await stage.prepare(info())
        assert relay.calls == {"GenerateDataKey": 1}  # the runtime owns every retry
        relay.refusal = None
        assert stock_decrypt((await stage.prepare(info()))(payload()).data, key_arn)[0] == DATA


async def test_an_answer_that_holds_no_key_is_retried(kms: Any, key_arn: str, unique: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay) as stage:
        relay.refusal = (200, "", "")  # as if something else than KMS had answered
        with pytest.raises(TransientError) as failed:
            await stage.prepare(info())
    assert failed.value.code == "damaged_in_transit"
    kms.create_alias(AliasName=f"alias/{unique}", TargetKeyId=key_arn)
    with pytest.raises(TransientError):
        await encrypt(f"alias/{unique}", relay).__aenter__()


async def test_a_lost_connection_is_retried(key_arn: str, relay: AwsRelay) -> None:
    async with encrypt(key_arn, relay) as stage:
        relay.hang_up = True
        with pytest.raises(TransientError):
            await stage.prepare(info())


async def test_a_disabled_key_halts_until_it_is_enabled(kms: Any, key_arn: str) -> None:
    async with encrypt(key_arn) as stage:
        kms.disable_key(KeyId=key_arn)
        for attempt in (stage.check, lambda: stage.prepare(info())):
            with pytest.raises(UnavailableError) as halted:
                await attempt()
            assert halted.value.code == "key_unusable"
        kms.enable_key(KeyId=key_arn)
        await stage.check()
        assert stock_decrypt((await stage.prepare(info()))(payload()).data, key_arn)[0] == DATA


async def test_a_key_due_for_deletion_halts(kms: Any, key_arn: str) -> None:
    kms.schedule_key_deletion(KeyId=key_arn, PendingWindowInDays=7)
    async with encrypt(key_arn) as stage:
        with pytest.raises(UnavailableError):
            await stage.check()


async def test_an_alias_that_is_missing_is_named_and_the_stage_can_be_opened_once_it_is_there(
    kms: Any, key_arn: str, unique: str
) -> None:
    stage = encrypt(f"alias/{unique}")
    with pytest.raises(UnavailableError) as halted:
        async with stage:
            pass
    assert f"kms:DescribeKey on alias/{unique}" in halted.value.detail

    kms.create_alias(AliasName=f"alias/{unique}", TargetKeyId=key_arn)
    async with stage:
        await stage.check()


async def test_without_credentials_the_fork_halts(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    async with encrypt("1234") as stage:
        with pytest.raises(UnavailableError) as halted:
            await stage.prepare(info())

    assert halted.value.code == "credentials"


async def test_another_context_or_another_key_opens_nothing(kms: Any, key_arn: str) -> None:
    async with encrypt(key_arn) as stage:
        message = (await stage.prepare(info()))(payload()).data
    forged = message.replace(b"backup", b"replay")

    with pytest.raises(AWSEncryptionSDKClientError):
        stock_decrypt(forged, key_arn)
    async with KmsKeys(key_arn, AwsSettings()) as keys:
        with pytest.raises(PermanentError) as refused:
            await open_object(info().key, forged, [keys])
    assert refused.value.code == "undecryptable"
    async with KmsKeys(kms.create_key()["KeyMetadata"]["Arn"], AwsSettings()) as other:
        with pytest.raises(UnavailableError) as missing:
            await open_object(info().key, message, [other])
    assert key_arn in missing.value.detail


def test_the_region_is_that_of_the_keys_arn() -> None:
    keys = KmsKeys("arn:aws:kms:eu-north-1:111122223333:key/1234", AwsSettings(region="eu-west-1", profile="p"))

    assert (keys._settings.region, keys._settings.profile) == ("eu-north-1", "p")


async def test_no_log_line_of_ours_or_the_sdks_holds_a_data_key(
    key_arn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated: list[bytes] = []
    generate = KmsKeys.generate

    async def remember(self: KmsKeys, context: Any) -> Any:
        key = await generate(self, context)
        generated.append(key.plaintext)
        return key

    monkeypatch.setattr(KmsKeys, "generate", remember)
    for name in ("forkstream", "aws_encryption_sdk"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with encrypt(key_arn) as stage:
        (await stage.prepare(info()))(payload())

    assert "aws_encryption_sdk" in {record.name.partition(".")[0] for record in caplog.records}
    assert generated
    for key in generated:
        assert key.hex() not in caplog.text
        assert repr(key)[2:-1] not in caplog.text
