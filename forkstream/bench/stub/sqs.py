"""SQS as the stub speaks it: the JSON protocol of AWS, for the operations that consumers of a queue use."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5

import msgspec

from forkstream.aws.checksum import attributes_md5
from forkstream.bench.stub.connection import Reply, Request, answer
from forkstream.bench.stub.messages import Messages, read_handle
from forkstream.bench.stub.stub_queue import StubQueue
from forkstream.bench.stub.tally import Tally
from forkstream.bench.stub.weather import Fault, Weather
from forkstream.event import Attribute

ACCOUNT = "000000000000"
_MAX_ENTRIES = 10
_HEADERS = (
    "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    "Content-Type: application/x-amz-json-1.0\r\nconnection: keep-alive\r\n"
)


class _Receive(msgspec.Struct, rename="pascal"):
    queue_url: str
    max_number_of_messages: int = 1
    visibility_timeout: int = 30
    wait_time_seconds: int = 0
    message_system_attribute_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()


class _Entry(msgspec.Struct, rename="pascal"):
    id: str
    receipt_handle: str
    visibility_timeout: int = 0


class _Entries(msgspec.Struct, rename="pascal"):
    queue_url: str
    entries: list[_Entry]


class _One(msgspec.Struct, rename="pascal"):
    queue_url: str
    receipt_handle: str
    visibility_timeout: int = 0


class _Attribute(msgspec.Struct, rename="pascal"):
    data_type: str
    string_value: str = ""
    binary_value: bytes | None = None


class _Message(msgspec.Struct, rename="pascal"):
    message_body: str
    id: str = "0"
    message_attributes: dict[str, _Attribute] = {}


class _Send(msgspec.Struct, rename="pascal"):
    queue_url: str
    entries: list[_Message]


class _Name(msgspec.Struct, rename="pascal"):
    queue_name: str


class _Url(msgspec.Struct, rename="pascal"):
    queue_url: str


_read_receive = msgspec.json.Decoder(_Receive).decode
_read_entries = msgspec.json.Decoder(_Entries).decode
_read_one = msgspec.json.Decoder(_One).decode
_read_send = msgspec.json.Decoder(_Send).decode
_read_message = msgspec.json.Decoder(_Message).decode
_read_name = msgspec.json.Decoder(_Name).decode
_read_url = msgspec.json.Decoder(_Url).decode
_encode = msgspec.json.Encoder().encode


class Sqs:
    """Answers requests; ``queue`` gives the queue of a name, and every name has one."""

    def __init__(
        self, messages: Messages, queue: Callable[[str], StubQueue], weather: Weather, tally: Tally, region: str
    ) -> None:
        self._messages = messages
        self._queue = queue
        self._weather = weather
        self._tally = tally
        self._region = region
        self._operations: dict[str, Callable[[bytes, Reply], None]] = {
            "receivemessage": self._receive,
            "deletemessagebatch": self._delete_batch,
            "deletemessage": self._delete,
            "changemessagevisibilitybatch": self._change_batch,
            "changemessagevisibility": self._change,
            "sendmessagebatch": self._send_batch,
            "sendmessage": self._send,
        }

    def serve(self, operation: str, request: Request, reply: Reply) -> None:
        """Answer one request; ``operation`` is in lower case."""
        known = self._operations.get(operation)
        if known is not None:
            known(request.body, reply)
        elif operation == "getqueueurl":
            name = _read_name(request.body).queue_name
            reply(_json({"QueueUrl": f"http://{request.header(b'host')}/{ACCOUNT}/{name}"}))
        elif operation == "getqueueattributes":
            reply(_json({"Attributes": self._attributes(_read_url(request.body).queue_url)}))
        elif operation == "listqueues":
            reply(_json({}))
        else:
            self._tally.refused += 1
            reply(_error(400, "com.amazon.coral.service#UnknownOperationException", "the stub does not know it"))

    def strike(self, fault: Fault) -> bytes:
        """What a request is answered that goes wrong."""
        if fault is Fault.THROTTLE:
            return _error(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded")
        return _error(500, "com.amazonaws.sqs#InternalError", "We encountered an internal error. Please try again.")

    def _receive(self, body: bytes, reply: Reply) -> None:
        asked = _read_receive(body)
        wanted = asked.message_system_attribute_names or asked.attribute_names
        if not 1 <= asked.max_number_of_messages <= _MAX_ENTRIES:
            reply(
                _error(400, "com.amazonaws.sqs#InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10")
            )
            return
        render = self._messages.render
        self._queue(name_of(asked.queue_url)).receive(
            asked.max_number_of_messages,
            asked.visibility_timeout,
            asked.wait_time_seconds,
            lambda dealt: reply(answer(200, render(dealt, wanted), _HEADERS)),
        )

    def _delete_batch(self, body: bytes, reply: Reply) -> None:
        asked = _read_entries(body)
        if refused := _refused(len(asked.entries)):
            reply(refused)
            return
        queue = self._queue(name_of(asked.queue_url))
        self._tally.deletes += 1
        struck = () if self._weather.calm else self._weather.struck(len(asked.entries))
        done, failed = [], []
        for place, entry in enumerate(asked.entries):
            message = read_handle(entry.receipt_handle)
            if place in struck:
                failed.append(_failure(entry.id, "InternalError", sender=False))
            elif message is None:
                failed.append(_failure(entry.id, "ReceiptHandleIsInvalid", sender=True))
            else:
                queue.delete(*message)
                done.append({"Id": entry.id})
        reply(_batch(done, failed))

    def _delete(self, body: bytes, reply: Reply) -> None:
        asked = _read_one(body)
        message = read_handle(asked.receipt_handle)
        if message is None:
            reply(_error(400, "com.amazonaws.sqs#ReceiptHandleIsInvalid", "The input receipt handle is invalid."))
            return
        self._tally.deletes += 1
        self._queue(name_of(asked.queue_url)).delete(*message)
        reply(answer(200, b"", _HEADERS))

    def _change_batch(self, body: bytes, reply: Reply) -> None:
        asked = _read_entries(body)
        if refused := _refused(len(asked.entries)):
            reply(refused)
            return
        queue = self._queue(name_of(asked.queue_url))
        done, failed = [], []
        for entry in asked.entries:
            message = read_handle(entry.receipt_handle)
            if message is not None and queue.change_visibility(message[0], entry.visibility_timeout):
                self._tally.visibility_changes += 1
                done.append({"Id": entry.id})
            else:
                failed.append(_failure(entry.id, "InvalidParameterValue", sender=True))
        reply(_batch(done, failed))

    def _change(self, body: bytes, reply: Reply) -> None:
        asked = _read_one(body)
        message = read_handle(asked.receipt_handle)
        queue = self._queue(name_of(asked.queue_url))
        if message is None or not queue.change_visibility(message[0], asked.visibility_timeout):
            reply(_error(400, "com.amazonaws.sqs#MessageNotInflight", "the message is not in flight"))
            return
        self._tally.visibility_changes += 1
        reply(answer(200, b"", _HEADERS))

    def _send_batch(self, body: bytes, reply: Reply) -> None:
        entries = _read_send(body).entries
        if refused := _refused(len(entries)):
            reply(refused)
            return
        struck = () if self._weather.calm else self._weather.struck(len(entries))
        done = [{"Id": entry.id} | _sent(entry) for place, entry in enumerate(entries) if place not in struck]
        self._tally.sends += 1
        self._tally.sent += len(done)
        reply(_batch(done, [_failure(entries[place].id, "InternalError", sender=False) for place in struck]))

    def _send(self, body: bytes, reply: Reply) -> None:
        self._tally.sends += 1
        self._tally.sent += 1
        reply(_json(_sent(_read_message(body))))

    def _attributes(self, url: str) -> dict[str, str]:
        name = name_of(url)
        queue = self._queue(name)
        return {
            "QueueArn": f"arn:aws:sqs:{self._region}:{ACCOUNT}:{name}",
            "ApproximateNumberOfMessages": str(queue.waiting),
            "ApproximateNumberOfMessagesNotVisible": str(queue.held),
            "ApproximateNumberOfMessagesDelayed": "0",
            "VisibilityTimeout": "30",
            "MaximumMessageSize": "1048576",
        }


def name_of(url: str) -> str:
    """Give the queue's name, the last part of its URL."""
    return url.rpartition("/")[2]


def _refused(entries: int) -> bytes | None:
    if 1 <= entries <= _MAX_ENTRIES:
        return None
    name = "TooManyEntriesInBatchRequest" if entries else "EmptyBatchRequest"
    return _error(400, f"com.amazonaws.sqs#{name}", f"a batch has 1 to {_MAX_ENTRIES} entries")


def _sent(message: _Message) -> dict[str, str]:
    sent = {
        "MD5OfMessageBody": md5(message.message_body.encode(), usedforsecurity=False).hexdigest(),
        "MessageId": "00000000-0000-4000-8000-000000000000",
    }
    if message.message_attributes:
        attributes = {
            name: Attribute(one.data_type, one.string_value if one.binary_value is None else one.binary_value)
            for name, one in message.message_attributes.items()
        }
        sent["MD5OfMessageAttributes"] = attributes_md5(attributes)
    return sent


def _failure(identity: str, code: str, *, sender: bool) -> dict[str, object]:
    return {"Id": identity, "Code": code, "SenderFault": sender, "Message": code}


def _batch(done: list[dict[str, str]], failed: list[dict[str, object]]) -> bytes:
    # SQS leaves an empty list out
    return _json({name: entries for name, entries in (("Successful", done), ("Failed", failed)) if entries})


def _json(value: object) -> bytes:
    return answer(200, _encode(value), _HEADERS)


def _error(status: int, kind: str, message: str) -> bytes:
    name = kind.rpartition("#")[2]
    fault = "Sender" if status < 500 else "Receiver"
    headers = f"{_HEADERS}x-amzn-query-error: {name.removesuffix('Exception')};{fault}\r\n"
    return answer(status, _encode({"__type": kind, "message": message}), headers)
