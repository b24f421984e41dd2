from __future__ import annotations

import ast
import base64
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.errors import TransientError, UnavailableError
from forkstream.event import Attribute, Drop, Event, Failure, FailureKind
from forkstream.ports import Context
from forkstream.settings import Duration
from forkstream.stages.transform import Transform, TransformConfig
from forkstream.stages.transformation import chunks
from tests.functions import transformations

FUNCTIONS = "tests.functions.transformations"
PERMANENT, TRANSIENT = FailureKind.PERMANENT, FailureKind.TRANSIENT


def stage(function: str = f"{FUNCTIONS}:lambda_handler", **settings: Any) -> Transform:
    return Transform(TransformConfig(handler=function, **settings), Context(fork="backup"))


def events(*bodies: str) -> list[Event]:
    return [Event(body.encode(), id=str(number), sent_at=1.5) for number, body in enumerate(bodies)]


def seen(answer: Mapping[Event, Any]) -> dict[str, object]:
    def short(outcome: Event | Drop | Failure) -> object:
        if isinstance(outcome, Event):
            return outcome.body.decode()
        return outcome.reason if isinstance(outcome, Drop) else (outcome.kind, outcome.code)

    return {event.body.decode(): short(outcome) for event, outcome in answer.items()}


async def test_ok_goes_on_dropped_ends_and_processing_failed_is_dead() -> None:
    async with stage() as opened:
        answer = await opened.apply(events("ok new body", "drop it", "fail it"))
    assert seen(answer) == {
        "ok new body": "new body",
        "drop it": "transform_dropped",
        "fail it": (PERMANENT, "processing_failed"),
    }


async def test_an_event_keeps_all_but_its_body() -> None:
    event = Event(b"ok new", id="first", sent_at=7.5, attributes={"a": Attribute("String", "x")}, group="g")
    async with stage() as opened:
        changed = (await opened.apply([event]))[event]
    assert isinstance(changed, Event)
    assert (changed.id, changed.sent_at, changed.attributes, changed.group) == ("first", 7.5, event.attributes, "g")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("leave it", "record_missing"),
        ("number it", "record_missing"),
        ("twice it", "record_repeated"),
        ("odd it", "bad_result"),
        ("broken it", "bad_data"),
        ("bare it", "bad_data"),
    ],
)
async def test_a_record_that_comes_back_wrong_fails_alone(body: str, code: str) -> None:
    async with stage() as opened:
        answer = await opened.apply(events("ok a", body, "ok b"))
    assert seen(answer) == {"ok a": "a", body: (PERMANENT, code), "ok b": "b"}


async def test_a_record_that_nobody_sent_is_ignored() -> None:
    async with stage() as opened:
        assert seen(await opened.apply(events("stranger a", "ok b"))) == {"stranger a": "a", "ok b": "b"}


async def test_events_with_the_same_id_are_told_apart() -> None:
    twins = [Event(b"ok a", id="same"), Event(b"drop", id="same")]
    async with stage() as opened:
        answer = await opened.apply(twins)
    assert isinstance(answer[twins[0]], Event)
    assert answer[twins[1]] == Drop("transform_dropped")


@pytest.mark.parametrize("poison", ["raise it", "exit now"])
async def test_an_event_at_which_the_handler_raises_is_dead_and_takes_no_other_along(poison: str) -> None:
    async with stage() as opened:
        answer = await opened.apply(events("ok 1", "ok 2", poison, "ok 3", "drop 4"))
    assert seen(answer).pop(poison) == (PERMANENT, "handler_raised")
    assert [outcome for outcome in seen(answer).values() if isinstance(outcome, str)] == [
        "1", "2", "3", "transform_dropped",
    ]  # fmt: skip


async def test_what_the_handler_raised_stands_in_the_detail_alone() -> None:
    async with stage() as opened:
        answer = await opened.apply(events("ok 1", "raise 4111"))
    (failure,) = [outcome for outcome in answer.values() if isinstance(outcome, Failure)]
    assert failure.code == "handler_raised"
    assert failure.detail == "ValueError: card number b'4111'"


@pytest.mark.parametrize("bodies", [["raise a", "raise b"], ["raise a", "exit b", "raise c"]])
async def test_a_handler_that_fails_for_every_event_is_broken_and_no_event_is_blamed(bodies: list[str]) -> None:
    async with stage() as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.apply(events(*bodies))
    assert (caught.value.code, caught.value.detail) == ("handler_raised", "the function failed for each event")


async def test_of_a_lone_event_nobody_can_tell_so_it_comes_again() -> None:
    async with stage() as opened:
        with pytest.raises(TransientError) as caught:
            await opened.apply(events("raise it"))
    assert caught.value.code == "handler_raised"


@pytest.mark.parametrize("function", ["answers_nothing", "answers_text"])
async def test_a_response_that_is_none_is_the_handlers_fault(function: str) -> None:
    async with stage(f"{FUNCTIONS}:{function}") as opened:
        with pytest.raises(UnavailableError) as caught:
            await opened.apply(events("a", "b"))
    assert caught.value.code == "bad_response"


async def test_the_handler_is_told_what_firehose_tells_and_lambda_adds() -> None:
    async with stage(f"{FUNCTIONS}:tells", timeout=Duration(30)) as opened:
        (event,) = events("body")
        changed = (await opened.apply([event]))[event]
    assert isinstance(changed, Event)
    told = ast.literal_eval(changed.body.decode())
    assert told["event"].keys() == {"invocationId", "deliveryStreamArn", "region", "records"}
    assert told["event"]["deliveryStreamArn"] == "arn:aws:firehose:local:000000000000:deliverystream/backup"
    (record,) = told["event"]["records"]
    assert record.keys() == {"recordId", "approximateArrivalTimestamp", "data"}
    assert (record["approximateArrivalTimestamp"], base64.b64decode(record["data"])) == (1500, b"body")
    assert told["context"]["function_name"] == f"{FUNCTIONS}.tells"
    assert told["context"]["function_version"] == "$LATEST"
    assert 0 < told["left"] <= 30_000


@pytest.fixture
def blocked() -> Iterator[None]:
    transformations.release.clear()
    transformations.running.clear()
    yield
    transformations.release.set()


async def test_a_handler_that_outlasts_its_time_is_given_up_and_keeps_its_thread(blocked: None) -> None:
    async with stage(f"{FUNCTIONS}:blocks", timeout=Duration(0.05), at_once=1) as opened:
        for _ in range(2):  # the second finds no free thread
            with pytest.raises(TransientError) as caught:
                await opened.apply(events("ok a"))
            assert caught.value.code == "timeout"
        assert len(transformations.running) == 1
        transformations.release.set()
        with anyio.fail_after(20):
            while True:
                try:
                    assert seen(await opened.apply(events("ok a"))) == {"ok a": "a"}
                    break
                except TransientError:
                    continue


async def test_the_loop_goes_on_while_a_handler_blocks(blocked: None) -> None:
    async with stage(f"{FUNCTIONS}:blocks") as opened, anyio.create_task_group() as tasks:
        answers: list[dict[str, object]] = []

        async def ask() -> None:
            answers.append(seen(await opened.apply(events("ok a"))))

        for _ in range(3):
            tasks.start_soon(ask)
        with anyio.fail_after(20):
            while len(transformations.running) < 3:
                await anyio.lowlevel.checkpoint()
        transformations.release.set()
    assert answers == [{"ok a": "a"}] * 3


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("ThrottlingException", TransientError, "throttled"),
        ("ResourceNotFoundException", UnavailableError, "missing"),
    ],
)
async def test_what_aws_refused_the_handler_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, error: str, kind: type[Exception], code: str
) -> None:
    def handler(event: object, context: object) -> None:
        raise botocore.exceptions.ClientError({"Error": {"Code": error, "Message": "no"}}, "PutItem")

    monkeypatch.setattr(transformations, "answers_nothing", handler)
    async with stage(f"{FUNCTIONS}:answers_nothing") as opened:
        with pytest.raises(kind) as caught:
            await opened.apply(events("a", "b"))
    assert getattr(caught.value, "code", "") == code


@pytest.mark.parametrize(
    "function", ["tests.functions.nowhere:handler", f"{FUNCTIONS}:nothing", f"{FUNCTIONS}:not_callable", f"{FUNCTIONS}:is_async"]
)  # fmt: skip
async def test_a_handler_that_cannot_be_used_makes_the_stage_unavailable(function: str) -> None:
    opened = stage(function)
    for ask in (opened.check, opened.__aenter__):
        with pytest.raises(UnavailableError) as caught:
            await ask()
        assert caught.value.code == "handler_unusable"
        assert function in caught.value.detail


def test_nothing_is_imported_before_the_stage_opens() -> None:
    sys.modules.pop("tests.functions.ecommerce_sanitize", None)
    stage("tests.functions.ecommerce_sanitize:lambda_handler")
    assert "tests.functions.ecommerce_sanitize" not in sys.modules


@pytest.mark.parametrize("handler", ["module", "module.function", "a b:c", ":x", "x:", "a:b.c", "1:a"])
def test_a_handler_is_named_by_module_and_function(handler: str) -> None:
    with pytest.raises(ValueError, match=r"expected pkg\.module:function"):
        stage(handler)


def test_exactly_one_function_is_needed() -> None:
    for config, count in ((TransformConfig(), 0), (TransformConfig(handler="a:b", lambda_="c"), 2)):
        with pytest.raises(ValueError, match=f"exactly one of handler and lambda, found {count}"):
            Transform(config, Context(fork="f"))


def test_a_transformation_that_sanitises_says_so() -> None:
    assert not stage().sanitizes
    assert stage(sanitizes=True).sanitizes


ORDER = {
    "id": 15311,
    "date": "2018-12-15T23:41:11-08:00",
    "customer": {"id": 65144},
    "payment": {
        "id": 2509,
        "amount": 450.0,
        "currency": "usd",
        "card-number": "1234 5678 9012 3456",
        "card-cvv": "123",
    },
    "items": [{"quantity": 1}, {"quantity": 2}],
}


async def test_the_e_commerce_applications_sanitising_function_runs_unchanged() -> None:
    event = Event(json.dumps(ORDER).encode(), id="1")
    async with stage("tests.functions.ecommerce_sanitize:lambda_handler", sanitizes=True) as opened:
        changed = (await opened.apply([event, Event(b"{}", id="no order")]))[event]
    assert isinstance(changed, Event)
    assert changed.data == {**ORDER, "payment": {"id": 2509, "amount": 450.0, "currency": "usd"}}
    assert b"card" not in changed.body


@given(st.lists(st.integers(0, 2_000_000), max_size=12))
def test_no_request_is_larger_than_lambda_takes_and_none_could_hold_the_next_event(sizes: list[int]) -> None:
    limit = 6_291_456
    given_ = [Event(b"x" * size, id=str(number)) for number, size in enumerate(sizes)]
    found = list(chunks(given_, limit))
    assert [event for chunk in found for event in chunk] == given_
    encoded = [sum((len(event.body) + 2) // 3 * 4 + 512 for event in chunk) for chunk in found]
    assert all(size + 512 <= limit for size in encoded)
    for size, following in zip(encoded, found[1:], strict=False):
        assert size + (len(following[0].body) + 2) // 3 * 4 + 1024 > limit
