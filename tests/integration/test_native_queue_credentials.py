"""Credentials that expire, and a clock that is off, cost a request of the native wire and no call."""

from __future__ import annotations

import asyncio
import gc
import time
from email.utils import formatdate
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from forkstream.aws import renewed_credentials
from forkstream.aws.queue import OutgoingMessage
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from tests.integration.native_queue_kit import OK, own_keys, queue, refusal

__all__ = ["own_keys"]
pytestmark = pytest.mark.usefixtures("own_keys")


@pytest.mark.parametrize("name", ["RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"])
async def test_a_clock_that_is_off_is_corrected_by_the_date_of_the_refusal(name: str) -> None:
    ahead = time.time() + 3600
    async with queue(refusal(name, 403, date=formatdate(ahead, usegmt=True)), OK, OK) as (client, sqs):
        await client.delete_batch(["r"])
        await client.send_batch([OutgoingMessage(body="x", attributes={})])
    stamps = [head["x-amz-date"] for head in sqs.heads]
    hours = [time.strftime("%Y%m%dT%H", time.gmtime(at)) for at in (ahead - 3600, ahead, ahead)]
    minute_later = [time.strftime("%Y%m%dT%H", time.gmtime(at + 60)) for at in (ahead - 3600, ahead, ahead)]
    assert all(stamp[:11] in pair for stamp, pair in zip(stamps, zip(hours, minute_later, strict=True), strict=True))
    assert stamps[1] > stamps[0]


async def test_a_refusal_of_what_the_clock_does_not_explain_is_not_asked_again() -> None:
    async with queue(refusal("SignatureDoesNotMatch", 403, date=formatdate(usegmt=True))) as (client, sqs):
        with pytest.raises(UnavailableError) as caught:
            await client.delete_batch(["r"])
        assert len(sqs.bodies) == 1
    assert caught.value.code == "credentials"


class Rolling:
    """Sessions give these credentials in turn, and the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.names = list(names)
        self.asked = 0
        monkeypatch.setattr(AwsSession, "credentials", lambda _: self.give())

    async def give(self) -> ReadOnlyCredentials:
        self.asked += 1
        await asyncio.sleep(0)
        name = self.names.pop(0) if len(self.names) > 1 else self.names[0]
        if name == "gone":
            raise UnavailableError("credentials")
        return ReadOnlyCredentials(name, "s", f"token-{name}")


async def test_expired_credentials_are_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Rolling(monkeypatch, "first", "second")
    async with queue(refusal("ExpiredTokenException", 403), OK) as (client, sqs):
        await client.delete_batch(["r"])
        assert sqs.signers == ["first", "second"]
        assert [head["x-amz-security-token"] for head in sqs.heads] == ["token-first", "token-second"]


async def test_credentials_that_stay_refused_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Rolling(monkeypatch, "only")
    async with queue(refusal("ExpiredTokenException", 403)) as (client, sqs):
        with pytest.raises(UnavailableError):
            await client.delete_batch(["r"])
        assert sqs.signers == ["only"]


async def test_credentials_are_renewed_beside_the_requests_and_a_failed_renewal_stops_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renewed_credentials, "_ASK_SECONDS", 0.0)
    rolling = Rolling(monkeypatch, "first", "gone", "second")
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: unhandled.append(about))
    async with queue(*[OK] * 100) as (client, sqs), asyncio.timeout(60):
        while "second" not in sqs.signers:
            await client.delete_batch(["r"])
    assert sqs.signers[0] == "first"
    assert set(sqs.signers) == {"first", "second"}
    assert rolling.asked >= 3
    gc.collect()  # a task's exception is told when the task is forgotten
    assert unhandled == []
