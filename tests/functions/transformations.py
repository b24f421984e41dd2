# mypy: ignore-errors
"""Firehose transformation functions that do all that such functions do, as the body of each record wishes."""

import base64
import sys
import threading
import time

release = threading.Event()
running = []


def lambda_handler(event, context):
    return {"records": [answer for record in event["records"] for answer in answers(record)]}


def answers(record):
    body = base64.b64decode(record["data"])
    wish, _, rest = body.partition(b" ")
    ok = {"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(rest).decode()}
    if wish == b"raise":
        raise ValueError(f"card number {rest!r}")
    if wish == b"exit":
        sys.exit(rest.decode())
    return {
        b"ok": [ok],
        b"drop": [{"recordId": record["recordId"], "result": "Dropped"}],
        b"fail": [{**ok, "result": "ProcessingFailed"}],
        b"odd": [{**ok, "result": "ok"}],
        b"leave": [],
        b"twice": [ok, ok],
        b"stranger": [ok, {**ok, "recordId": "stranger"}],
        b"broken": [{**ok, "data": "%%%"}],
        b"bare": [{"recordId": record["recordId"], "result": "Ok"}],
        b"number": [{**ok, "recordId": 7}],
    }[wish]


def answers_nothing(event, context):
    return None


def answers_text(event, context):
    return {"records": "none"}


def tells(event, context):
    """Return what it was told: the event, the context and what of time is left, as the first record's data."""
    context_ = {name: getattr(context, name) for name in ("function_name", "aws_request_id", "function_version")}
    told = {"event": event, "context": context_, "left": context.get_remaining_time_in_millis()}
    data = base64.b64encode(repr(told).encode()).decode()
    return {"records": [{"recordId": record["recordId"], "result": "Ok", "data": data} for record in event["records"]]}


def blocks(event, context):
    running.append(event["invocationId"])
    release.wait(30)
    return lambda_handler(event, context)


def sleeps(event, context):
    time.sleep(60)


async def is_async(event, context):
    return {"records": []}


not_callable = "x"


def passes(event, context):
    """Give back what came, and fail at what is to be refused."""
    if any(base64.b64decode(record["data"]) == b"refused" for record in event["records"]):
        raise ValueError("refused")
    return {"records": [{**record, "result": "Ok"} for record in event["records"]]}
