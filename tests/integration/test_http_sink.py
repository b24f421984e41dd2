from __future__ import annotations

import gzip
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from forkstream.config.loading import load_config
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.event import Event, FailureKind
from forkstream.ports import Context
from forkstream.settings import Duration, Secret
from forkstream.sinks.http import HttpConfig, HttpSink
from tests.integration.opensearch_stub import Stub, stub_server

PERMANENT, TRANSIENT = FailureKind.PERMANENT, FailureKind.TRANSIENT
KEY = Secret("0123456789abcdef")


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        server.handler = lambda *_: web.Response(status=204)
        yield server


def sink(stub: Stub, **settings: Any) -> HttpSink:
    return HttpSink(HttpConfig(url=f"{stub.url}/hook?a=1", **settings), Context(fork="f"))


def events(*bodies: str, group: str | None = None) -> list[Event]:
    return [Event(body.encode(), id=f"id-{number}", group=group) for number, body in enumerate(bodies)]


def answer(stub: Stub, status: int, text: str = "", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stub.handler = lambda *_: web.Response(status=status, text=text, headers=named)


def answer_by_body(stub: Stub, statuses: dict[str, int]) -> None:
    stub.handler = lambda request, _: web.Response(status=statuses.get(request.body.decode(), 200))


async def test_a_batch_is_one_request_of_one_line_an_event(stub: Stub) -> None:
    async with sink(stub) as opened:
        assert list(await opened.write(events('{"a": 1.50}', '{\n"b":\r\n2}', '"\u00e9"'))) == []
    (request,) = stub.requests
    assert (request.method, request.target) == ("POST", "/hook?a=1")
    assert request.body == '{"a": 1.50}\n{"b":2}\n"\u00e9"\n'.encode()
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert request.headers["User-Agent"].startswith("forkstream/")
    assert "Forkstream-Signature" not in request.headers


async def test_an_event_can_be_a_request_of_its_own_with_its_bytes_as_they_are(stub: Stub) -> None:
    given = [Event(b"\x00\xff", id="first id"), Event(b"text\n", id="caf\u00e9"), Event(b"", id="empty")]
    async with sink(stub, body="event", method="PUT") as opened:
        assert list(await opened.write(given)) == []
    seen = {request.headers["Idempotency-Key"]: request.body for request in stub.requests}
    assert seen == {"first id": b"\x00\xff", "caf\u00e9".encode().hex(): b"text\n", "empty": b""}
    assert {(request.method, request.headers["Content-Type"]) for request in stub.requests} == {
        ("PUT", "application/json")
    }


async def test_headers_and_the_content_type_are_the_configs(stub: Stub) -> None:
    headers = {"Authorization": Secret("Bearer x"), "X-Tenant": Secret("7")}
    async with sink(stub, headers=headers, content_type="application/json-seq") as opened:
        await opened.write(events("1"))
    (request,) = stub.requests
    assert (request.headers["Authorization"], request.headers["X-Tenant"]) == ("Bearer x", "7")
    assert request.headers["Content-Type"] == "application/json-seq"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [1, 200_000])  # the larger is signed in a thread
async def test_a_receiver_can_check_the_signature_over_what_is_on_the_wire(
    stub: Stub, size: int, compressed: bool
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with sink(stub, secret=KEY, gzip=compressed) as opened:
        await opened.write([Event(json.dumps("x" * size).encode(), id="1")])
    (request,) = stub.requests
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["Forkstream-Signature"])
    assert found
    assert hmac.new(KEY.encode(), f"{found[1]}.".encode() + request.raw, "sha256").hexdigest() == found[2]
    assert before <= datetime.fromtimestamp(int(found[1]), UTC) + timedelta(seconds=1)
    body = gzip.decompress(request.raw) if compressed else request.raw
    assert json.loads(body) == "x" * size


CASES: list[tuple[int, type[DeliveryError], str]] = [
    (400, PermanentError, "rejected"),
    (401, UnavailableError, "credentials"),
    (403, UnavailableError, "denied"),
    (404, UnavailableError, "missing"),
    (405, UnavailableError, "unsupported"),
    (408, TransientError, "timeout"),
    (409, TransientError, "conflict"),
    (410, UnavailableError, "missing"),
    (413, PermanentError, "too_large"),
    (415, PermanentError, "rejected"),
    (422, PermanentError, "rejected"),
    (425, TransientError, "too_early"),
    (429, TransientError, "throttled"),
    (500, TransientError, "server_error"),
    (501, UnavailableError, "unsupported"),
    (502, TransientError, "server_error"),
    (503, TransientError, "unavailable_for_now"),
    (504, TransientError, "server_error"),
]


@pytest.mark.parametrize(("status", "kind", "code"), CASES)
@pytest.mark.parametrize("body", ["ndjson", "event"])
async def test_an_answer_is_told_by_its_status(
    stub: Stub, body: str, status: int, kind: type[DeliveryError], code: str
) -> None:
    answer(stub, status, "because of 4111")
    async with sink(stub, body=body) as opened:
        with pytest.raises(kind) as caught:
            await opened.write(events("1", "2"))
    assert caught.value.code == code
    assert ("4111" in caught.value.detail) is (kind is not UnavailableError)


async def test_a_redirection_is_not_followed(stub: Stub) -> None:
    answer(stub, 307, Location=f"{stub.url}/elsewhere")
    async with sink(stub) as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.write(events("1"))
    assert caught.value.code == "redirected"
    assert [request.target for request in stub.requests] == ["/hook?a=1"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("-1", None), ("nan", None), ("soon", None), ("", None)]
)
async def test_retry_after_is_handed_on(stub: Stub, text: str, seconds: float | None) -> None:
    answer(stub, 503, Retry_After=text)
    async with sink(stub) as opened:
        with pytest.raises(TransientError) as caught:
            await opened.write(events("1"))
    assert caught.value.retry_after == seconds


async def test_retry_after_may_be_a_date(stub: Stub) -> None:
    answer(stub, 429, Retry_After=format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    async with sink(stub) as opened:
        with pytest.raises(TransientError) as caught:
            await opened.write(events("1"))
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600
    answer(stub, 429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    async with sink(stub) as opened:
        with pytest.raises(TransientError) as caught:
            await opened.write(events("1"))
    assert caught.value.retry_after == 0


async def test_what_is_no_json_fails_alone_and_breaks_no_line(stub: Stub) -> None:
    given = [Event(b"1", id="a"), Event(b"oops\n2", id="b"), Event(b'"\xff"', id="c"), Event(b"3", id="d")]
    async with sink(stub) as opened:
        failures = await opened.write(given)
    assert [(failure.event.id, failure.kind, failure.code) for failure in failures] == [
        ("b", PERMANENT, "not_json"), ("c", PERMANENT, "not_json"),
    ]  # fmt: skip
    assert stub.requests[0].body == b"1\n3\n"


async def test_where_nothing_is_json_nothing_is_sent(stub: Stub) -> None:
    async with sink(stub) as opened:
        assert len(await opened.write(events("oops"))) == 1
    assert stub.requests == []


async def test_single_events_fail_by_themselves(stub: Stub) -> None:
    answer_by_body(stub, {"bad": 400, "later": 503, "forbidden": 403})
    async with sink(stub, body="event") as opened:
        failures = await opened.write(events("ok", "bad", "later", "forbidden"))
    assert {(failure.event.body.decode(), failure.kind, failure.code) for failure in failures} == {
        ("bad", PERMANENT, "rejected"),
        ("later", TRANSIENT, "unavailable_for_now"),
        ("forbidden", TRANSIENT, "denied"),
    }


async def test_a_single_event_carries_how_long_to_wait(stub: Stub) -> None:
    stub.handler = lambda request, _: web.Response(
        status=429 if request.body == b"2" else 200, headers={"Retry-After": "7"}
    )
    async with sink(stub, body="event") as opened:
        (failure,) = await opened.write(events("1", "2"))
    assert (failure.code, failure.retry_after) == ("throttled", 7.0)


async def test_where_all_fail_but_not_alike_each_keeps_its_failure(stub: Stub) -> None:
    answer_by_body(stub, {"bad": 400, "later": 503})
    async with sink(stub, body="event") as opened:
        failures = await opened.write(events("bad", "later"))
    assert [(failure.kind, failure.code) for failure in failures] == [
        (PERMANENT, "rejected"), (TRANSIENT, "unavailable_for_now"),
    ]  # fmt: skip


async def test_sent_in_turn_nothing_overtakes_what_failed_of_its_group(stub: Stub) -> None:
    answer_by_body(stub, {"bad": 503})
    given = [
        Event(b"1", id="1", group="g"),
        Event(b"bad", id="2", group="g"),
        Event(b"3", id="3", group="g"),
        Event(b"4", id="4", group="h"),
        Event(b"5", id="5"),
    ]
    async with sink(stub, body="event", at_once=1) as opened:
        assert opened.ordered
        failures = await opened.write(given)
    assert [(failure.event.id, failure.code) for failure in failures] == [("2", "unavailable_for_now"), ("3", "behind")]
    assert [request.body for request in stub.requests] == [b"1", b"bad", b"4", b"5"]
    assert not sink(stub, body="event").ordered


async def test_in_a_batch_nothing_overtakes_what_is_no_json(stub: Stub) -> None:
    async with sink(stub) as opened:
        assert opened.ordered
        failures = await opened.write([*events("1", "oops", "3", group="g"), Event(b"4", id="h", group="h")])
    assert [(failure.event.body, failure.code) for failure in failures] == [(b"oops", "not_json"), (b"3", "behind")]
    assert stub.requests[0].body == b"1\n4\n"


async def test_no_answer_in_time_is_transient(stub: Stub) -> None:
    stub.handler = stub.hang
    async with sink(stub, request_timeout=Duration(0.1)) as opened:
        with pytest.raises(TransientError) as caught:
            await opened.write(events("1"))
    assert caught.value.code == "timeout"


async def test_nobody_there_is_transient(stub: Stub) -> None:
    gone = HttpSink(HttpConfig(url="http://127.0.0.1:1/secret-path"), Context(fork="f"))
    async with gone as opened:
        with pytest.raises(TransientError) as caught:
            await opened.write(events("1"))
    assert caught.value.code == "connection"
    assert "secret-path" not in caught.value.detail


async def test_a_check_connects_and_writes_nothing(stub: Stub) -> None:
    answer(stub, 405)
    await sink(stub).check()
    assert [(request.method, request.raw) for request in stub.requests] == [("OPTIONS", b"")]


@pytest.mark.parametrize("url", ["", "host", "ftp://host/", "https://", "http://host:x/", "http://user:pass@host/"])
def test_a_url_that_cannot_be_used_is_a_config_error(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        HttpSink(HttpConfig(url=url), Context(fork="f"))


@pytest.mark.parametrize("headers", [{"content-type": "x"}, {"Forkstream-Signature": "x"}, {"X-A": "a\r\nX-B: c"}])
def test_headers_that_are_not_the_configs_are_a_config_error(headers: dict[str, str]) -> None:
    secrets = {name: Secret(value) for name, value in headers.items()}
    with pytest.raises(ValueError, match="headers"):
        HttpSink(HttpConfig(url="https://host/", headers=secrets), Context(fork="f"))


def test_header_values_and_the_secret_are_masked() -> None:
    text = """
        forks:
          hook:
            source: {sqs: {queue: q}}
            sink: {http: {url: "https://host/", secret: "0123456789abcdef", headers: {Authorization: "Bearer 4711"}}}
    """
    (plan,) = load_config("env:CONFIG", environ={"CONFIG": text}).plans
    shown = repr(plan.sink.config)
    assert "4711" not in shown
    assert "0123456789abcdef" not in shown
