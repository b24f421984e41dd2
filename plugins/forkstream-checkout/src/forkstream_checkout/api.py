"""The function behind ``POST /checkout``: it publishes each order to the topic that the forks read.

This file is the whole Lambda package, so it needs nothing but boto3 and the standard library.
"""

from __future__ import annotations

import base64
import functools
import json
import os
from decimal import Decimal
from typing import Any

import boto3  # type: ignore[import-untyped]  # Lambda brings it, without types
from botocore.config import Config

_DIGITS = 38
"""The precision of a Number attribute, see SQS's "Message attributes"; SNS hands it on to SQS."""
_LARGEST = 256 * 1024
"""Bytes of one message with its attributes, see SNS's Publish."""


class BadOrderError(Exception):
    """The order cannot be taken as it is; the message says why and quotes nothing of it."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of API Gateway, in either payload format (1.0 or 2.0).

    201 with the order's id and the message's id once SNS has the order; 400 with the reason if the order is bad;
    502 if it could not be published: then nothing was done, and the same order can be sent again.
    """
    try:
        body = read_body(event)
        order, amount = read_order(body)
    except BadOrderError as reason:
        return _answer(400, error=str(reason))
    try:
        sent = _sns().publish(
            TopicArn=os.environ["TOPIC_ARN"],
            Message=body,
            MessageAttributes={"amount": {"DataType": "Number", "StringValue": amount}},
        )
    except Exception as error:  # noqa: BLE001  # whatever went wrong, the buyer is told the same
        _say(failed=type(error).__name__)  # neither message nor traceback: they may quote the order
        return _answer(502, error="the order was not taken: send it again")
    _say(published=sent["MessageId"])
    return _answer(201, order=order, message=sent["MessageId"])


def read_body(event: dict[str, Any]) -> str:
    """Take the request's body as text; raises :class:`BadOrderError`."""
    body = event.get("body") or ""
    try:
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True).decode()
        size = len(body.encode())
    except ValueError:
        raise BadOrderError("the body is not UTF-8 text") from None
    if size > _LARGEST - len("amountNumber") - _DIGITS - 2:
        raise BadOrderError(f"the order is too large: {size} bytes")
    return str(body)


def read_order(body: str) -> tuple[int, str]:
    """Read an order's id and its amount as plain digits, as exact as written; raises :class:`BadOrderError`."""
    try:
        order = json.loads(body, parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise BadOrderError("the body is not JSON") from None
    if not isinstance(order, dict) or not isinstance(order.get("payment"), dict):
        raise BadOrderError("an order is an object with an object `payment`")
    if type(order.get("id")) is not int:
        raise BadOrderError("`id` must be an integer")
    amount = order["payment"].get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise BadOrderError("`payment.amount` must be a number")
    return order["id"], _digits(Decimal(amount))


def _digits(amount: Decimal) -> str:
    # the exponent first: 1e999999 is short to send and a megabyte to write out
    if amount.is_finite() and abs(amount.adjusted()) <= _DIGITS:
        text = f"{amount:f}"
        if sum(map(str.isdigit, text)) <= _DIGITS:
            return text
    raise BadOrderError(f"`payment.amount` must be a finite number of up to {_DIGITS} digits")


def _answer(status: int, **body: object) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def _say(**line: str) -> None:
    # what a function prints is its log; one line an order says which message it became
    print(json.dumps(line), flush=True)  # noqa: T201


@functools.cache
def _sns() -> Any:
    # two attempts, ten seconds at the most: the answer comes before the function's own end at 15 s
    return boto3.client(
        "sns", config=Config(connect_timeout=1, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2})
    )
