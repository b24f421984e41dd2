"""Events as lines of standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import pytest

from forkstream.errors import UnavailableError
from forkstream.event import Event
from forkstream.ports import Context
from forkstream.sinks.blackhole import BlackholeConfig, BlackholeSink
from forkstream.sinks.stdout import StdoutConfig, StdoutSink


def sink() -> StdoutSink:
    return StdoutSink(StdoutConfig(), Context(fork="look"))


def event(body: bytes) -> Event:
    return Event(body, id="m")


def test_each_event_is_a_line_in_the_order_given(capfd: pytest.CaptureFixture[str]) -> None:
    assert sink().write([event(b'{"id":1}'), event("ü".encode()), event(b"")]) == ()
    assert capfd.readouterr().out == '{"id":1}\nü\n\n'


def test_line_breaks_of_a_body_make_no_second_line(capfd: pytest.CaptureFixture[str]) -> None:
    sink().write([event(b'{\r\n "id": 1\n}')])
    assert capfd.readouterr().out == '{   "id": 1 }\n'


def test_a_reader_that_went_away_halts_the_fork() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = (
        "from tests.unit.test_stdout_sink import event, sink\n"
        "from forkstream.errors import UnavailableError\n"
        "import sys\n"
        "try:\n    sink().write([event(b'x')])\n"
        "except UnavailableError as error:\n    print(error.code, file=sys.stderr)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=True
        )
    finally:
        os.close(writer)
    assert done.stderr == b"stdout_failed\n"


def test_lines_come_through_whole_while_a_pipe_takes_little_and_batches_compete() -> None:
    program = (
        "import os, threading\n"
        "write = os.write\n"
        "os.write = lambda pipe, lines: write(pipe, lines[:4096])\n"
        "from tests.unit.test_stdout_sink import event, sink\n"
        "out = sink()\n"
        "threads = [threading.Thread(target=out.write, args=([event(bytes([97 + n]) * 300_000)] * 3,)) for n in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert sorted(lines) == sorted(bytes([97 + n]) * 300_000 for n in range(4) for _ in range(3))
    # a batch's lines stay together
    assert len([1 for left, right in pairwise(lines) if left != right]) == 3


def test_a_closed_stdout_halts_the_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = os.fdopen(os.dup(1), "w")
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(UnavailableError):
        sink().write([event(b"x")])


async def test_the_blackhole_takes_everything() -> None:
    async with BlackholeSink(BlackholeConfig(), Context(fork="drain")) as blackhole:
        assert await blackhole.write([event(b"x")]) == ()
