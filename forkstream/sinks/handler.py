"""A sink that calls a Lambda function's code as its SQS queue did."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Sequence
from hashlib import md5
from typing import Annotated, Any, Literal, Self

from msgspec import Meta

from forkstream.aws.checksum import attributes_md5
from forkstream.aws.lambda_handler import LambdaHandler
from forkstream.errors import TransientError
from forkstream.event import Attribute, Event, Failure
from forkstream.ports import BatchDefaults, Context, EventSink
from forkstream.settings import Duration, Settings


class HandlerConfig(Settings):
    """Which handler is called, and how its answer is taken."""

    handler: Annotated[str, Meta(description="pkg.module:function, a handler as Lambda calls it for an SQS queue")]
    response: Annotated[
        Literal["batch_item_failures", "ignored"],
        Meta(
            description="batch_item_failures: what the handler returns names the events that failed, as with"
            " ReportBatchItemFailures; ignored: only raising is failing"
        ),
    ] = "batch_item_failures"
    timeout: Annotated[
        Duration,
        Meta(
            description="time that the context tells the handler it has; the fork's write_timeout is what ends the wait",
            gt=0,
        ),
    ] = Duration(60)
    ordered: Annotated[
        bool,
        Meta(
            description="true if the handler stops at the first event that fails and reports all after it, as AWS asks of"
            " functions behind FIFO queues: only then can an ordered source feed it"
        ),
    ] = False


class HandlerSink(EventSink[HandlerConfig]):
    """Calls a handler of SQS events, unchanged, in a worker thread.

    Events that its answer names are tried again, as messages become visible again. An answer that names what is no
    event, or nothing, fails the whole batch, see "Implementing partial batch responses". When the handler raises, the
    batch is halved until single events stand accused; what boto3 raised in it keeps its kind. The message id is the
    event's first id, so it is the same each time that the event comes; there is no receipt to change or delete by.
    """

    # as many as a function gets that sets nothing; Lambda takes 6 MB, see "Configuring scaling and batching"
    batch_defaults = BatchDefaults(max_events=10, max_bytes=4 * 2**20, max_age=0.2)

    def __init__(self, config: HandlerConfig, context: Context) -> None:
        super().__init__(config, context)
        self.ordered = config.ordered
        self._handler = LambdaHandler(config.handler, seconds=config.timeout)
        self._region = context.aws.region or "local"

    async def __aenter__(self) -> Self:
        await self._handler.load()
        return self

    async def check(self) -> None:
        """Import the handler; it is not called."""
        await self._handler.load()

    def write(self, events: Sequence[Event]) -> Collection[Failure]:
        records: list[dict[str, Any]] = []
        failures: list[Failure] = []
        for event in events:
            try:
                records.append(self._record(event))
            except UnicodeDecodeError:
                failures.append(Failure.permanent(event, "not_text", "a message of SQS is text"))
        if records:
            reported = self._reported(self._handler({"Records": records}), {record["messageId"] for record in records})
            given = {failure.event for failure in failures}
            failures += [
                Failure.transient(event, "reported_failed")
                for event in events
                if event.id in reported and event not in given
            ]
        return failures

    def _record(self, event: Event) -> dict[str, Any]:
        sent = str(int(event.sent_at * 1000))
        record: dict[str, Any] = {
            "messageId": event.id,
            "receiptHandle": f"forkstream-{event.id}",
            "body": event.body.decode(),
            "attributes": {
                "ApproximateReceiveCount": str(event.receive_count),
                "SentTimestamp": sent,
                "SenderId": "forkstream",
                "ApproximateFirstReceiveTimestamp": sent,
            },
            "messageAttributes": {name: _attribute(attribute) for name, attribute in event.attributes.items()},
            "md5OfBody": md5(event.body, usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{self._region}:000000000000:{self.context.fork}",
            "awsRegion": self._region,
        }
        if event.attributes:
            record["md5OfMessageAttributes"] = attributes_md5(event.attributes)
        if event.group is not None:
            record["attributes"]["MessageGroupId"] = event.group
        return record

    def _reported(self, response: object, known: Collection[str]) -> set[str]:
        """Read the ids that failed. Nothing at all, in whatever form, is success."""
        if self.config.response == "ignored" or response is None:
            return set()
        items = response.get("batchItemFailures") or [] if isinstance(response, dict) else response
        if not isinstance(response, dict) or not isinstance(items, list):
            raise TransientError("bad_response", "what the handler returned is no list of failures")
        ids = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in items]
        named = {identity for identity in ids if isinstance(identity, str) and identity in known}
        if len(named) < len({repr(identity) for identity in ids}):
            raise TransientError("bad_response", "batchItemFailures names what is no message of this batch")
        return named


def _attribute(attribute: Attribute) -> dict[str, Any]:
    value = attribute.value
    shown = {"binaryValue": b64encode(value).decode()} if isinstance(value, bytes) else {"stringValue": value}
    return {**shown, "stringListValues": [], "binaryListValues": [], "dataType": attribute.type}
