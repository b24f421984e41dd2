"""What the log tells of a fork's state: its trouble, and that it is over, once it is."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from forkstream.assembly import flow_of
from forkstream.config.loading import load_config
from forkstream.errors import UnavailableError
from forkstream.service import Service

CONFIG = "forks: {one: {source: memory, sink: blackhole}}"


def told_of(service: Service, told: dict[str, str]) -> list[Any]:
    with capture_logs() as logs:
        service._tell_state(service.forks["one"], told)
    return [line["event"] for line in logs]


@pytest.mark.parametrize("meanwhile", ["drained", "paused"])
async def test_a_fork_that_was_halted_is_open_again_when_it_is_and_not_while_it_is(meanwhile: str) -> None:
    config = load_config("env:CONFIG", environ={"CONFIG": CONFIG})
    service = Service([flow_of(plan) for plan in config.plans])
    fork = service.forks["one"]
    told: dict[str, str] = {}

    fork.gate.halt(UnavailableError("denied", "s3:PutObject on b"))
    assert told_of(service, told) == ["halted"]
    if meanwhile == "drained":
        fork.gate.drain()
        assert told_of(service, told) == []
    else:
        fork.gate.succeeded()
        fork.gate.pause(True)
        assert told_of(service, told) == []
        fork.gate.pause(False)
        assert told_of(service, told) == ["open again"]
    fork._end_queues()
    del service, fork
    gc.collect()  # what was not closed would fail another test
