"""An event that cannot be sanitised appears nowhere in the clear (contract 4)."""

from __future__ import annotations

import base64
import json
import os

import pytest
import zstandard

from tests.faults.decryption import decrypted
from tests.faults.leaks import PLANTED, holds_card, leaks_in_aws, leaks_in_files
from tests.faults.service_process import serving, wait_until
from tests.faults.site import Site

pytestmark = pytest.mark.usefixtures("unmeasured")

FORKS = """
forks:
  kept:
    source: {sqs: {queue: "{name}-kept", envelope: raw}}
    stages: [{sanitize: {drop: ["payment.card-*"]}}]
    sink: {s3: {bucket: "{name}-orders", prefix: "kept/"}}
    batch: {max_age: 100ms}
    dead_letter: {sink: {s3: {bucket: "{name}-dead", prefix: "kept/"}}}
  buried:
    source: {sqs: {queue: "{name}-buried", envelope: raw}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
    sink: {s3: {bucket: "{name}-orders", prefix: "buried/"}}
    batch: {max_age: 100ms}
    dead_letter:
      stages: [compress, encrypt: {key_file: "{directory}/key"}]
      include_unsanitised: true
      sink: {s3: {bucket: "{name}-dead", prefix: "buried/"}}
  sanitised:
    source: {sqs: {queue: "{name}-sanitised", envelope: raw}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
      - index: {name: orders, id: no.such.path}
    sink: {opensearch: {url: "http://127.0.0.1:1"}}
    dead_letter: {sink: {s3: {bucket: "{name}-dead", prefix: "sanitised/"}}}
"""
CARD = PLANTED[0]
GOOD = [
    b'{"n":0,"payment":{"amount":1,"card-number":"%s"}}' % CARD.encode(),
    # a key that stands there twice, of which many readers see the last alone
    b'{"n":1,"payment":{"card-number":"%s","amount":1},"payment":{"amount":1}}' % CARD.encode(),
    b'{"n":2,"payment":{"amount":1,"card-number":1,"\\u0063ard-number":"%s"}}' % CARD.encode(),
]
BAD = [
    b'{"payment":[{"card-number":"%s"}]}' % CARD.encode(),
    b'{"payment":"%s"}' % CARD.encode(),
    b"card %s, and this is no JSON" % CARD.encode(),
    b'{"n":3,"payment":{"card-number":"%s"}' % CARD.encode(),
]


@pytest.fixture
def key(site: Site) -> bytes:
    key = os.urandom(32)
    (site.directory / "key").write_bytes(base64.b64encode(key))
    return key


def test_what_cannot_be_sanitised_appears_nowhere_in_the_clear(site: Site, key: bytes) -> None:
    kept, buried, sanitised = (site.queue(name) for name in ("kept", "buried", "sanitised"))
    orders, dead = site.bucket("orders"), site.bucket("dead")
    for queue in (kept, buried, sanitised):
        queue.send(GOOD)
    for queue in (kept, buried):
        queue.send(BAD)

    with serving(site.config(FORKS)) as service:
        wait_until(lambda: (kept.left, buried.left, sanitised.left) == (len(BAD), 0, 0), 60, service.logged)
        told = [service.ask(path)[1] for path in ("/metrics", "/forks", "/ready", "/health")]
        assert service.fork("kept")["retried"] >= len(BAD)

    # where they may be: in their queue, and in letters that take a key to read
    assert all(holds_card(message["Body"].encode()) for message in kept.take())
    letters = dead.objects()
    opened = [zstandard.decompress(decrypted(letters[name], key)) for name in letters if name.startswith("buried/")]
    bodies = [json.loads(line)["body"].encode() for each in opened for line in each.splitlines()]
    assert sorted(bodies) == sorted(BAD)

    assert sorted(event["n"] for event in orders.lines()) == [0, 0, 1, 1, 2, 2]
    assert sum(name.startswith("sanitised/") for name in letters) >= 1
    assert not any(name.startswith("kept/") for name in letters)
    assert not any(holds_card(text.encode()) for text in [service.logged(), *told])
    assert leaks_in_aws(site.aws, site.name) == leaks_in_files(site.directory) == []
