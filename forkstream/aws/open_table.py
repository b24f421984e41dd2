"""One table, over the wire that the config chose."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from forkstream.aws.aioboto_table import AiobotoTableClient
from forkstream.aws.native_table import NativeTableClient
from forkstream.aws.open_queue import Client
from forkstream.aws.table import TableClient
from forkstream.settings import AwsSettings


def open_table(
    client: Client, name: str, settings: AwsSettings, *, connections: int
) -> AbstractAsyncContextManager[TableClient]:
    """Open the wire to a table of this name or ARN; raises one of the three kinds of DeliveryError."""
    if client == "native":
        return NativeTableClient.open(name, settings, connections=connections)
    return AiobotoTableClient.open(name, settings, connections=connections)
