"""One queue, over the wire that the config chose."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeAlias

from forkstream.aws.aioboto_queue import AiobotoQueueClient
from forkstream.aws.native_queue import NativeQueueClient
from forkstream.aws.queue import QueueClient
from forkstream.aws.queue_address import QueueAddress
from forkstream.settings import AwsSettings

Client: TypeAlias = Literal["native", "aioboto3"]
"""A wire to SQS: forkstream's own, or that of the SDK, slower and with everything the SDK can (proxies)."""


def open_queue(
    client: Client, address: QueueAddress, settings: AwsSettings
) -> AbstractAsyncContextManager[QueueClient]:
    """Open the wire and look up the queue's URL; raises one of the three kinds of DeliveryError."""
    if client == "native":
        return NativeQueueClient.open(address, settings)
    return AiobotoQueueClient.open(address, settings)
