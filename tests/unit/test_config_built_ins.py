"""A config of the e-commerce application's kind, read with the plugins that ship."""

from __future__ import annotations

from forkstream import Duration, Size
from forkstream.config.loading import load_config
from forkstream.config.problem import InvalidConfigError

SHOP = """
forks:
  checkout:
    source: {sqs: {queue: "${CHECKOUT_QUEUE}"}}
    sink:
      dynamodb:
        table: CheckoutTable
        columns: {CustomerId: {path: customer.id, type: S}, DateOrderId: {path: id, type: S}, PaymentAmount: payment.amount}
        key: [CustomerId, DateOrderId]
        version: PaymentAmount
  search:
    source: {sqs: {queue: "${SEARCH_QUEUE}"}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
      - index: {name: orders, id: id}
    sink: {opensearch: {url: "${OPENSEARCH}"}}
  storage-backup:
    source: {sqs: {queue: "${BACKUP_QUEUE}"}}
    stages:
      - sanitize: {drop: ["payment.card-*"]}
      - compress: {algorithm: zstd, level: 3}
      - encrypt: {kms_key: "${BACKUP_KEY}"}
    sink: {s3: {bucket: "${BACKUP_BUCKET}", prefix: "orders/dt=%Y-%m-%d/"}}
    batch: {max_events: 10000, max_bytes: 5MiB, max_age: 60s}
    retry: {max_elapsed: 300s, then: release}
    dead_letter:
      stages: [compress, encrypt: {kms_key: "${BACKUP_KEY}"}]
      sink: {s3: {bucket: "${DEAD_LETTER_BUCKET}"}}
      include_unsanitised: true
  replay:
    source: {sqs: {queue: "${REPLAY_QUEUE}"}}
    sink: {sqs: {queue: "${CHECKOUT_QUEUE}"}}
    paused: true
aws: {region: eu-west-1}
"""

ENVIRON = {
    "SHOP": SHOP,
    "CHECKOUT_QUEUE": "checkout",
    "BACKUP_QUEUE": "https://sqs.eu-west-1.amazonaws.com/123456789012/backup",
    "REPLAY_QUEUE": "arn:aws:sqs:eu-west-1:123456789012:replay",
    "SEARCH_QUEUE": "search",
    "OPENSEARCH": "http://127.0.0.1:9200",
    "BACKUP_KEY": "alias/backup",
    "BACKUP_BUCKET": "backup",
    "DEAD_LETTER_BUCKET": "dead-letters",
}


def test_the_config_of_the_design_becomes_plans() -> None:
    plans = {plan.name: plan for plan in load_config("env:SHOP", environ=ENVIRON).plans}
    backup = plans["storage-backup"]
    assert [name for name, _ in backup.steps] == [
        "source.sqs",
        "stages[0].sanitize",
        "stages[1].compress",
        "stages[2].encrypt",
        "sink.s3",
        "dead_letter.stages[0].compress",
        "dead_letter.stages[1].encrypt",
        "dead_letter.sink.s3",
    ]
    assert backup.settings.batch.max_bytes == Size(5 * 2**20)
    assert backup.settings.retry.max_elapsed == Duration(300)
    assert plans["replay"].settings.paused is True
    assert plans["replay"].source.context.aws.region == "eu-west-1"


def test_compressing_what_is_encrypted_is_refused_with_the_plugins_that_ship() -> None:
    swapped = SHOP.replace('[compress, encrypt: {kms_key: "${BACKUP_KEY}"}]', "[encrypt: {kms_key: k}, compress]")
    problems = problems_of(swapped)
    assert problems == ["forks.storage-backup.dead_letter.stages[1].compress"]


def test_two_forks_on_one_queue_are_refused_with_the_plugins_that_ship() -> None:
    assert problems_of(SHOP.replace("${REPLAY_QUEUE}", "${BACKUP_QUEUE}")) == ["forks.replay.source.sqs"]


def problems_of(text: str) -> list[str]:
    try:
        load_config("env:SHOP", environ={**ENVIRON, "SHOP": text})
    except InvalidConfigError as error:
        return [problem.path for problem in error.found]
    return []
