from __future__ import annotations

import asyncio
import importlib
import json
import threading
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from forkstream.aws.checksum import attributes_md5
from forkstream.aws.lambda_handler import LambdaHandler
from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Attribute, Event, FailureKind
from forkstream.ports import Context
from forkstream.settings import AwsSettings, Duration
from forkstream.sinks.handler import HandlerConfig, HandlerSink
from tests.functions import consumers

CONSUMERS = "tests.functions.consumers"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    consumers.calls.clear()
    yield
    consumers.answer = None


def sink(function: str = f"{CONSUMERS}:lambda_handler", **settings: Any) -> HandlerSink:
    context = Context(fork="checkout", aws=AwsSettings(region="eu-west-1"))
    return HandlerSink(HandlerConfig(handler=function, **settings), context)


def events(*bodies: str) -> list[Event]:
    return [Event(body.encode(), id=f"id-{number}") for number, body in enumerate(bodies)]


async def test_the_handler_gets_a_record_as_lambda_makes_it() -> None:
    attributes = {"amount": Attribute("Number", "450.00"), "picture": Attribute("Binary", b"\x00\xff")}
    event = Event('{"caf\u00e9":1}'.encode(), id="first", sent_at=1544944871.5, receive_count=3, attributes=attributes)
    async with sink() as opened:
        assert list(opened.write([event])) == []
    ((given, _),) = consumers.calls
    assert given == {
        "Records": [
            {
                "messageId": "first",
                "receiptHandle": "forkstream-first",
                "body": '{"caf\u00e9":1}',
                "attributes": {
                    "ApproximateReceiveCount": "3",
                    "SentTimestamp": "1544944871500",
                    "SenderId": "forkstream",
                    "ApproximateFirstReceiveTimestamp": "1544944871500",
                },
                "messageAttributes": {
                    "amount": {
                        "stringValue": "450.00", "stringListValues": [], "binaryListValues": [], "dataType": "Number",
                    },
                    "picture": {
                        "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary",
                    },
                },
                "md5OfBody": md5(event.body).hexdigest(),  # noqa: S324  # what SQS has
                "md5OfMessageAttributes": attributes_md5(attributes),
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:checkout",
                "awsRegion": "eu-west-1",
            }
        ]
    }  # fmt: skip
    json.dumps(given)  # as it is for Lambda


async def test_a_record_of_an_ordered_source_names_its_group() -> None:
    async with sink(ordered=True) as opened:
        opened.write([Event(b"x", id="1", group="g")])
        assert opened.ordered
    assert consumers.calls[0][0]["Records"][0]["attributes"]["MessageGroupId"] == "g"
    assert not sink().ordered


async def test_the_context_tells_the_call_and_the_time_that_is_left() -> None:
    async with sink(timeout=Duration(30)) as opened:
        opened.write(events("a"))
        opened.write(events("b"))
    first, second = (context for _, context in consumers.calls)
    assert first.function_name == f"{CONSUMERS}.lambda_handler"
    assert first.aws_request_id != second.aws_request_id
    assert 0 < first.get_remaining_time_in_millis() <= 30_000


async def test_events_that_the_handler_names_are_tried_again() -> None:
    async with sink(f"{CONSUMERS}:fails_odd") as opened:
        failures = list(opened.write(events("even", "odd", "even", "odd")))
    assert [(failure.event.id, failure.kind, failure.code) for failure in failures] == [
        ("id-1", FailureKind.TRANSIENT, "reported_failed"),
        ("id-3", FailureKind.TRANSIENT, "reported_failed"),
    ]


async def test_an_id_that_two_events_share_fails_both() -> None:
    twins = [Event(b"odd", id="same"), Event(b"even", id="same")]
    async with sink(f"{CONSUMERS}:fails_odd") as opened:
        assert [failure.event for failure in opened.write(twins)] == twins


@pytest.mark.parametrize(
    "answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"statusCode": 200}]
)
async def test_what_aws_takes_for_success_is_success(answer: object) -> None:
    consumers.answer = answer
    async with sink() as opened:
        assert list(opened.write(events("a", "b"))) == []


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifer": "id-0"}]},
        {"batchItemFailures": [{"itemIdentifier": "stranger"}]},
        {"batchItemFailures": [{"itemIdentifier": "id-0"}, {"itemIdentifier": "stranger"}]},
        {"batchItemFailures": [{"itemIdentifier": ["id-0"]}]},
        {"batchItemFailures": ["id-0"]},
        {"batchItemFailures": {"itemIdentifier": "id-0"}},
        {"batchItemFailures": "id-0"},
        ["id-0"],
        "done",
    ],
)
async def test_what_aws_takes_for_a_complete_failure_fails_the_whole_batch(answer: object) -> None:
    consumers.answer = answer
    async with sink() as opened:
        with pytest.raises(TransientError) as caught:
            opened.write(events("a", "b"))
    assert caught.value.code == "bad_response"


async def test_an_answer_can_be_ignored() -> None:
    consumers.answer = "done"
    async with sink(response="ignored") as opened:
        assert list(opened.write(events("a"))) == []


async def test_a_handler_that_raises_accuses_its_batch_and_quotes_nothing_in_the_code() -> None:
    async with sink() as opened:
        with pytest.raises(PermanentError) as caught:
            opened.write(events("a", "raise"))
    assert (caught.value.code, caught.value.detail) == ("handler_raised", "ValueError: card 4111")


async def test_a_body_that_is_no_text_fails_alone() -> None:
    binary = Event(b"\xff", id="binary")
    async with sink() as opened:
        (failure,) = opened.write([binary, *events("a")])
        assert (failure.event, failure.kind, failure.code) == (binary, FailureKind.PERMANENT, "not_text")
        assert len(opened.write([binary])) == 1
    assert [[record["body"] for record in event["Records"]] for event, _ in consumers.calls] == [["a"]]


async def test_a_body_that_is_no_text_stays_dead_though_the_handler_reports_its_twin() -> None:
    binary, twin = Event(b"\xff", id="same"), Event(b"odd", id="same")
    async with sink(f"{CONSUMERS}:fails_odd") as opened:
        failures = list(opened.write([binary, twin]))
    assert [(failure.event, failure.code) for failure in failures] == [(binary, "not_text"), (twin, "reported_failed")]


async def test_a_handler_that_cannot_be_imported_makes_the_sink_unavailable() -> None:
    missing = sink("tests.functions.nowhere:handler")
    for ask in (missing.check, missing.__aenter__):
        with pytest.raises(UnavailableError) as caught:
            await ask()
        assert caught.value.code == "handler_unusable"


async def test_a_handler_that_hangs_while_it_is_imported_is_waited_for_no_longer_than_anybody_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, release = threading.Event(), threading.Event()

    def hang(_module: str) -> object:
        begun.set()
        assert release.wait(30)
        return object()

    scope = anyio.CancelScope()

    async def load() -> None:
        with scope:
            await LambdaHandler("slow.module:handler", seconds=1).load()

    monkeypatch.setattr(importlib, "import_module", hang)
    loading = asyncio.create_task(load())
    try:
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        scope.cancel()
        done, _ = await asyncio.wait([loading], timeout=5)
        assert done == {loading}
    finally:
        release.set()
        await asyncio.wait([loading])
