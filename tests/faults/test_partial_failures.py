"""Of a request that failed in part, the part is tried again and the rest is left alone (contracts 1 and 2)."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any

import msgspec
import pytest
from forkstream_checkout.generator import orders

from forkstream.event import encode_json
from tests.faults.relay import Answer, Handler, Relay, Request
from tests.faults.relay import answer as good
from tests.faults.service_process import serving, wait_until
from tests.faults.shop import Shop
from tests.faults.site import Site, numbered, on_both_wires

pytestmark = pytest.mark.usefixtures("unmeasured")

BACKUP = """
forks:
  backup:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {s3: {bucket: "{name}-orders"}}
    batch: {max_age: 200ms}
    write_timeout: 3s
"""
SEARCH = """
forks:
  search:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    stages: [{index: {name: orders, id: n}}]
    sink: {opensearch: {url: "{relay}"}}
    batch: {max_age: 200ms}
    dead_letter: {sink: {file: {directory: "{directory}/dead"}}}
"""


@on_both_wires
def test_deletes_that_failed_are_repeated_and_lost_ones_come_again(site: Site, relay: Relay) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    queue.send(numbered(range(100)))
    asked, number_of = Counter[int](), dict[str, int]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action == "ReceiveMessage":
            received = await pass_on(request)
            for message in received.json.get("Messages", ()):
                number_of[message["ReceiptHandle"]] = json.loads(message["Body"])["n"]
            return received
        if request.action != "DeleteMessageBatch":
            return await pass_on(request)
        failed, passed = [], []
        for entry in request.json["Entries"]:
            number = number_of[entry["ReceiptHandle"]]
            asked[number] += 1
            if asked[number] == 1 and number % 10 == 0:  # not this time
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            elif asked[number] == 1 and number % 10 == 1:  # never again: the message is somebody else's by now
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": "ReceiptHandleIsInvalid"})
            else:
                passed.append(entry)
        content: dict[str, Any] = {"Successful": []}
        if passed:
            content |= (await pass_on(request.with_json({**request.json, "Entries": passed}))).json
        return good({**content, "Failed": [*content.get("Failed", ()), *failed]})

    relay.step = step
    with serving(site.config(BACKUP), AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: not queue.left, 60, service.logged)
        status = service.fork("backup")

    assert status["expired"] == 10
    assert status["received"] == status["written"] == 110
    written = Counter(event["n"] for event in bucket.lines())
    # a delete that failed for now is all that is repeated; one that is lost brings the event again
    assert written == {number: 2 if number % 10 == 1 else 1 for number in range(100)}
    assert asked == {number: 2 if number % 10 in {0, 1} else 1 for number in range(100)}


def test_of_a_bulk_request_only_the_documents_that_failed_are_sent_again(site: Site, relay: Relay) -> None:
    queue = site.queue("orders")
    queue.send(numbered(range(100)))
    sent, taken = Counter[int](), Counter[int]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if not request.path.startswith("/_bulk"):
            return await pass_on(request)
        items = []
        for line in request.body.splitlines()[::2]:
            number = int(json.loads(line)["index"]["_id"])
            sent[number] += 1
            if number == 13:
                item: object = {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "by the test"}}
            elif number % 5 == 0 and sent[number] == 1:
                item = {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "by the test"}}
            else:
                item = {"status": 201}
                taken[number] += 1
            items.append({"index": item})
        return Answer(200, {"Content-Type": "application/json"}, msgspec.json.encode({"errors": True, "items": items}))

    relay.step = step
    config = site.config(SEARCH.replace("{relay}", relay.url))
    with serving(config) as service:
        wait_until(lambda: not queue.left, 60, service.logged)
        status = service.fork("search")

    assert (status["written"], status["dead"], status["received"]) == (99, 1, 100)
    assert taken == dict.fromkeys({*range(100)} - {13}, 1)
    assert sent == {number: 2 if number % 5 == 0 else 1 for number in range(100)}
    (letter,) = [json.loads(path.read_bytes()) for path in (site.directory / "dead").rglob("*.ndjson")]
    assert (json.loads(letter["body"])["n"], letter["code"]) == (13, "mapper_parsing_exception")


@pytest.fixture
def shop(site: Site) -> Shop:
    return Shop(site)


def test_unprocessed_items_are_sent_again_and_the_others_are_not(shop: Shop, relay: Relay) -> None:
    sold = [encode_json(order) for order in islice(orders(1), 120)]
    stored = Counter[str]()
    calls = Counter[str]()

    async def step(request: Request, pass_on: Handler) -> Answer:
        if request.action != "BatchWriteItem":
            return await pass_on(request)
        calls[request.action] += 1
        ((table, puts),) = request.json["RequestItems"].items()
        taken = puts[: len(puts) // 2] if calls[request.action] <= 8 else puts
        stored.update(put["PutRequest"]["Item"]["DateOrderId"]["S"] for put in taken)
        written = await pass_on(request.with_json({"RequestItems": {table: taken}})) if taken else good({})
        left = {table: puts[len(taken) :]} if len(taken) < len(puts) else {}
        return good({**written.json, "UnprocessedItems": left})

    relay.step = step
    queue = shop.queues["checkout"]
    queue.send(sold)
    with serving(shop.config, "--fork", "checkout", AWS_ENDPOINT_URL=relay.url) as service:
        wait_until(lambda: not queue.left, 60, service.logged)
        status = service.fork("checkout")

    assert status["received"] == status["written"] == len(shop.rows()) == 120
    assert status["failed"] > 0
    assert set(stored.values()) == {1}
