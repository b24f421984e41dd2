"""Tests of SQS run over both wires: import ``client`` and every test of the module does."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from forkstream.aws.open_queue import Client, open_queue
from forkstream.sinks import sqs as sink
from forkstream.sources import sqs as source


@pytest.fixture(params=get_args(Client), autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The wire of every source and sink of the test, whatever its config says."""
    chosen: Client = request.param

    def over_it(_: Client, *about: Any) -> Any:
        return open_queue(chosen, *about)

    monkeypatch.setattr(source, "open_queue", over_it)
    monkeypatch.setattr(sink, "open_queue", over_it)
    return chosen
