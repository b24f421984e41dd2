"""Where a plugin's bug is: its own line, whatever was below it, and never a line of the runtime."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import anyio.to_thread
import pytest
from structlog.testing import capture_logs

from forkstream import Context, Event, EventSink, Failure, Settings
from forkstream.errors import PermanentError, UnexpectedError, as_delivery_error
from forkstream.metrics import Metrics
from forkstream.raised_at import defined_at, raised_at
from forkstream.telemetry import Meter
from forkstream.testing.clock import run_on_fake_clock
from tests.kit import events, fork_of, memory_source, running, until

HERE = Path(__file__).name


class Buggy(EventSink[Settings]):
    def write(self, events: object) -> tuple[()]:
        self.below()
        return ()

    def below(self) -> None:
        json.loads("no JSON")


def caught(sink: Buggy) -> Exception:
    with pytest.raises(ValueError, match="Expecting") as found:
        sink.write([])
    return found.value


def test_it_is_the_deepest_line_of_the_plugin_not_of_what_it_called() -> None:
    place = raised_at(caught(Buggy(Settings(), Context(fork="test"))))
    assert place.endswith(f"{HERE}:30 in Buggy.below")


def test_it_is_the_plugin_s_in_a_worker_thread_too() -> None:
    sink = Buggy(Settings(), Context(fork="test"))
    with pytest.raises(ValueError, match="Expecting") as found:
        anyio.run(anyio.to_thread.run_sync, sink.write, [])
    assert raised_at(found.value).endswith("in Buggy.below")


def test_a_bug_knows_its_place_and_an_error_that_was_never_raised_has_none() -> None:
    bug = as_delivery_error(caught(Buggy(Settings(), Context(fork="test"))))
    assert isinstance(bug, UnexpectedError)
    assert bug.place.endswith(f"{HERE}:30 in Buggy.below")
    assert raised_at(ValueError("never raised")) == ""
    assert UnexpectedError("stage_returned_nothing").place == ""


def test_what_has_no_source_is_defined_nowhere() -> None:
    assert defined_at(len) == defined_at(None) == ""


def test_a_sink_that_returns_nothing_is_told_with_where_its_write_is() -> None:
    class Forgetful(EventSink[Settings]):
        async def write(self, events: Sequence[Event]) -> Collection[Failure]:  # type: ignore[empty-body]  # the slip
            pass

    async def main() -> None:
        fork = fork_of(memory_source(events(1)), Forgetful(Settings(), Context(fork="test")))
        async with running(fork, drain_within=10):
            await until(lambda: fork.meter.last_failure)

    with capture_logs() as lines:
        run_on_fake_clock(main)
    assert lines[0]["code"] == "unexpected_TypeError"
    assert lines[0]["at"].endswith("Forgetful.write")
    assert HERE in lines[0]["at"]


def test_the_log_names_the_line_of_a_bug_and_none_of_what_a_plugin_said_itself() -> None:
    bug = as_delivery_error(caught(Buggy(Settings(), Context(fork="test"))))

    async def main() -> None:
        meter = Meter(Metrics(), "test")
        meter.failed("sink", bug, 3)
        meter.failed("sink", PermanentError("refused", "a secret"), 1)
        meter.failure_log.flush(everything=True)

    with capture_logs() as lines:
        run_on_fake_clock(main)
    first, second = lines
    assert (first["code"], first["events"]) == ("unexpected_JSONDecodeError", 3)
    assert first["at"].endswith("in Buggy.below")
    assert "at" not in second
