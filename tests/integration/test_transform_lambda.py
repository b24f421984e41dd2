"""The transform stage with functions in Lambda: on the embedded one, and where that differs from AWS, on a stub."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from forkstream.aws.lambda_function import MAX_PAYLOAD
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import TransientError, UnavailableError
from forkstream.event import Drop, Event, Failure, FailureKind
from forkstream.ports import Context
from forkstream.settings import AwsSettings, Duration
from forkstream.stages.transform import Transform, TransformConfig
from tests.functions.zipped import deploy
from tests.integration.opensearch_stub import Stub, stub_server

PERMANENT, TRANSIENT = FailureKind.PERMANENT, FailureKind.TRANSIENT


def stage(function: str, aws: AwsSettings | None = None, **settings: Any) -> Transform:
    config = TransformConfig(lambda_=function, aws=aws or AwsSettings(), **settings)
    return Transform(config, Context(fork="backup"))


def events(*bodies: str) -> list[Event]:
    return [Event(body.encode(), id=str(number)) for number, body in enumerate(bodies)]


def seen(answer: Mapping[Event, Any]) -> dict[str, object]:
    def short(outcome: Event | Drop | Failure) -> object:
        if isinstance(outcome, Event):
            return outcome.body.decode()
        return outcome.reason if isinstance(outcome, Drop) else (outcome.kind, outcome.code)

    return {event.body.decode(): short(outcome) for event, outcome in answer.items()}


async def test_a_function_in_lambda_transforms_events_by_name_and_by_arn(aws: EmbeddedAws, unique: str) -> None:
    arn = deploy(unique, "transformations")
    for reference in (unique, arn):
        async with stage(reference) as opened:
            await opened.check()
            answer = await opened.apply(events("ok a", "drop b", "fail c", "leave d", "ok e"))
        assert seen(answer) == {
            "ok a": "a",
            "drop b": "transform_dropped",
            "fail c": (PERMANENT, "processing_failed"),
            "leave d": (PERMANENT, "record_missing"),
            "ok e": "e",
        }


async def test_an_event_at_which_the_function_raises_is_dead_and_takes_no_other_along(
    aws: EmbeddedAws, unique: str
) -> None:
    deploy(unique, "transformations")
    async with stage(unique) as opened:
        answer = await opened.apply(events("ok a", "raise b", "ok c"))
        assert seen(answer) == {"ok a": "a", "raise b": (PERMANENT, "function_error"), "ok c": "c"}
        with pytest.raises(UnavailableError):
            await opened.apply(events("raise a", "raise b"))
        with pytest.raises(TransientError):
            await opened.apply(events("raise a"))


async def test_the_e_commerce_applications_sanitising_function_runs_in_lambda(aws: EmbeddedAws, unique: str) -> None:
    deploy(unique, "ecommerce_sanitize")
    order = {"id": 1, "payment": {"id": 2, "amount": 450.5, "card-number": "4111"}}
    event = Event(json.dumps(order).encode(), id="1")
    async with stage(unique, sanitizes=True) as opened:
        changed = (await opened.apply([event]))[event]
    assert isinstance(changed, Event)
    assert json.loads(changed.body) == {"id": 1, "payment": {"id": 2, "amount": 450.5}}


async def test_large_events_go_in_several_invocations(aws: EmbeddedAws, unique: str) -> None:
    deploy(unique, "transformations")
    bodies = [f"ok {number}" + "x" * 1_000_000 for number in range(6)]
    async with stage(unique) as opened:
        answer = await opened.apply(events(*bodies))
    assert seen(answer) == {body: body[3:] for body in bodies}


async def test_a_missing_function_makes_the_stage_unavailable(aws: EmbeddedAws, unique: str) -> None:
    async with stage(unique) as opened:
        for ask in (opened.check(), opened.apply(events("ok a"))):
            with pytest.raises(UnavailableError) as caught:
                await ask
            assert (caught.value.code, caught.value.detail) == (
                "missing",
                f"lambda:InvokeFunction on {unique}: ResourceNotFoundException",
            )


@pytest.fixture
async def stub(aws: EmbeddedAws) -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


def answering(stub: Stub, status: int = 200, body: object = None, **headers: str) -> Transform:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stub.handler = lambda *_: web.json_response(body, status=status, headers=named)
    return stage("function", AwsSettings(endpoint_url=stub.url))


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"errorMessage": "2026-11-23T00:00:00Z id Task timed out after 3.00 seconds"}, TransientError, "function_timeout"),
        ({"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: x"}, TransientError, "function_timeout"),
        ({"errorType": "Runtime.ImportModuleError", "errorMessage": "no"}, UnavailableError, "function_broken"),
        ({"errorType": "Runtime.HandlerNotFound", "errorMessage": "no"}, UnavailableError, "function_broken"),
        # either may be an event's fault, so halves are tried: here both fail
        ({"errorType": "Runtime.OutOfMemory", "errorMessage": "no"}, UnavailableError, "function_error"),
        ({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "no"}, UnavailableError, "function_error"),
        ("no object", UnavailableError, "function_error"),
    ],
)  # fmt: skip
async def test_a_functions_error_is_told_by_its_type(
    stub: Stub, fault: object, kind: type[Exception], code: str
) -> None:
    async with answering(stub, 200, fault, X_Amz_Function_Error="Unhandled") as opened:
        with pytest.raises(kind) as caught:
            await opened.apply(events("a", "b"))
    assert getattr(caught.value, "code", "") == code
    assert len(stub.requests) == (3 if code == "function_error" else 1)


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (429, "TooManyRequestsException", TransientError, "throttled"),
        (502, "EC2ThrottledException", TransientError, "server_error"),
        (500, "ServiceException", TransientError, "server_error"),
        (403, "AccessDeniedException", UnavailableError, "denied"),
        (502, "KMSDisabledException", UnavailableError, "key_unusable"),
    ],
)
async def test_a_refused_invocation_is_told_by_its_error(
    stub: Stub, status: int, error: str, kind: type[Exception], code: str
) -> None:
    async with answering(stub, status, {"message": "no"}, x_amzn_ErrorType=error) as opened:
        with pytest.raises(kind) as caught:
            await opened.apply(events("a", "b"))
    assert getattr(caught.value, "code", "") == code
    assert len(stub.requests) == 1


async def test_no_request_is_larger_than_six_megabytes_and_a_failed_one_fails_its_own_events(stub: Stub) -> None:
    def answer(request: Any, _: object) -> web.Response:
        asked = json.loads(request.body)["records"]
        if len(stub.requests) == 1:
            return web.json_response(
                {"message": "no"}, status=429, headers={"x-amzn-ErrorType": "TooManyRequestsException"}
            )
        return web.json_response({"records": [{**record, "result": "Ok"} for record in asked]})

    stub.handler = answer
    async with stage("function", AwsSettings(endpoint_url=stub.url), at_once=1) as opened:
        given = events(*("x" * 1_000_000 for _ in range(10)))
        outcomes = await opened.apply(given)
    sizes = [len(request.body) for request in stub.requests]
    assert len(sizes) == 3
    assert max(sizes) <= MAX_PAYLOAD
    refused = [event for event in given if isinstance(outcomes[event], Failure)]
    assert refused == given[:4]
    assert {(f.kind, f.code) for f in outcomes.values() if isinstance(f, Failure)} == {(TRANSIENT, "throttled")}


async def test_a_response_that_is_no_json_is_the_functions_fault(stub: Stub) -> None:
    stub.handler = lambda *_: web.Response(text="oops")
    async with stage("function", AwsSettings(endpoint_url=stub.url)) as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.apply(events("a", "b"))
    assert caught.value.code == "bad_response"


async def test_a_function_that_does_not_answer_is_given_up(stub: Stub) -> None:
    stub.handler = stub.hang
    async with stage("function", AwsSettings(endpoint_url=stub.url), timeout=Duration(0.2)) as opened:
        with pytest.raises(TransientError) as caught:
            await opened.apply(events("a"))
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    "reference", ["", "a b", "arn:aws:lambda:eu-west-1:1:function:f", "arn:aws:sqs:eu-west-1:123456789012:q"]
)
def test_a_function_is_named_by_name_or_arn(reference: str) -> None:
    with pytest.raises(ValueError, match="expected a function's name or ARN"):
        stage(reference)


@pytest.mark.parametrize(
    "reference", ["f", "f:live", "f:$LATEST", "arn:aws:lambda:eu-west-1:123456789012:function:f:7"]
)
def test_a_function_may_have_a_qualifier(reference: str) -> None:
    stage(reference)
