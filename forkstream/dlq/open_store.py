"""From a fork's plan to the store in which its dead letters lie."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from forkstream.aws.data_keys import DataKeys
from forkstream.aws.key_file import KeyFile
from forkstream.aws.kms_keys import KmsKeys
from forkstream.config.plan import DeadLetterPlan, Plan
from forkstream.dlq.claims import Claims
from forkstream.dlq.file_shelf import FileShelf
from forkstream.dlq.object_store import ObjectStore
from forkstream.dlq.queue_store import QueueStore
from forkstream.dlq.s3_shelf import S3Shelf
from forkstream.dlq.shelf import Shelf
from forkstream.dlq.store import Store
from forkstream.errors import CommandError
from forkstream.ports import Context
from forkstream.sinks.file import FileConfig, FileSink
from forkstream.sinks.s3 import S3Config, S3Sink
from forkstream.sinks.sqs import SqsSink
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from forkstream.stages.encrypt import Encrypt


@asynccontextmanager
async def open_store(plan: Plan, *, run: str, claims: str | None = None) -> AsyncIterator[Store]:
    """Open where this fork's dead letters lie; ``claims`` is where claims on those of a queue are kept.

    Raises :class:`~forkstream.errors.CommandError` where there are none or they cannot be read back.
    """
    dead = plan.dead_letter
    if dead is None:
        raise CommandError(
            f"fork {plan.name} has no dead_letter: what fails for good stays with its source, which shows it again "
            "with growing pauses; an SQS queue moves it to the redrive queue of its RedrivePolicy, if it has one"
        )
    sink = dead.sink
    async with AsyncExitStack() as stack:
        if isinstance(sink, SqsSink):
            yield await stack.enter_async_context(_queue_store(sink, run, claims, stack))
            return
        shelf = _shelf(sink)
        if shelf is None:
            raise CommandError(
                f"the dead letters of fork {plan.name} go to {plan.step(sink)}, which cannot be read back; "
                "those in s3, file and sqs can"
            )
        await stack.enter_async_context(shelf.opened())
        keys = [await stack.enter_async_context(one) for one in _keys(dead)]
        yield ObjectStore(shelf, Claims(shelf, run), keys)


def claims_directory() -> Path:
    """Where claims on a queue's letters are kept if nobody says otherwise: with this user's other state."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "forkstream" / "redrives"


@asynccontextmanager
async def _queue_store(sink: SqsSink, run: str, claims: str | None, stack: AsyncExitStack) -> AsyncIterator[Store]:
    shelf = await stack.enter_async_context(_claims_shelf(claims, sink.context).opened())
    config = sink.config
    settings = SqsSourceConfig(queue=config.queue, envelope="raw", client=config.client, aws=config.aws)
    async with SqsSource(settings, sink.context) as source:
        store = QueueStore(source, shelf, Claims(shelf, run), config.queue)
        async with store.opened():
            if claims is None:
                store.notes.append(f"claims are kept in {shelf.name}: share them with --claims if others redrive too")
            yield store


def _shelf(sink: object) -> Shelf | None:
    if isinstance(sink, S3Sink):
        return S3Shelf(sink)
    return FileShelf(sink) if isinstance(sink, FileSink) else None


def _claims_shelf(place: str | None, context: Context) -> Shelf:
    if place is None or not place.startswith("s3://"):
        directory = claims_directory() if place is None else Path(place)
        return FileShelf(FileSink(FileConfig(directory=str(directory)), context))
    bucket, _, prefix = place.removeprefix("s3://").rstrip("/").partition("/")
    try:
        return S3Shelf(S3Sink(S3Config(bucket=bucket, prefix=f"{prefix}/" if prefix else ""), context))
    except ValueError as error:
        raise CommandError(f"--claims {place}: {error}") from None


def _keys(dead: DeadLetterPlan) -> list[DataKeys]:
    """What opens the letters' objects: the keys of the stages that encrypt them."""
    keys: list[DataKeys] = []
    for stage in dead.object_stages:
        if isinstance(stage, Encrypt) and stage.config.key_file is not None:
            keys.append(KeyFile(stage.config.key_file))
        elif isinstance(stage, Encrypt) and stage.config.kms_key is not None:
            keys.append(KmsKeys(stage.config.kms_key, stage.config.aws.over(stage.context.aws)))
    return keys
