"""A plain consumer: boto3 in threads, receive ten, delete ten; with ``s3`` as an argument each ten become an object first.

forkstream bench --external 'python tests/bench/peers/boto3_loop.py'
forkstream bench --external 'python tests/bench/peers/boto3_loop.py s3'
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config

THREADS = 8


def consume(stopping: threading.Event, to_s3: bool) -> None:
    session = boto3.session.Session()
    config = Config(max_pool_connections=2)
    sqs, s3 = session.client("sqs", config=config), session.client("s3", config=config)
    queue = os.environ["BENCH_QUEUE_URL"]
    while not stopping.is_set():
        messages: list[dict[str, Any]] = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5
        ).get("Messages", [])
        if not messages:
            continue
        if to_s3:
            body = "\n".join(message["Body"] for message in messages).encode()
            s3.put_object(Bucket=os.environ["BENCH_BUCKET"], Key=f"peer/{uuid.uuid4()}.ndjson", Body=body)
        entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
        failed = sqs.delete_message_batch(QueueUrl=queue, Entries=entries).get("Failed", [])
        if failed:
            raise SystemExit(f"{len(failed)} deletes failed")


def main() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threads = [threading.Thread(target=consume, args=(stopping, "s3" in sys.argv[1:])) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
