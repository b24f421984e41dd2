"""Several worker processes as one service: one that is killed loses nothing, and none outlives its supervisor."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.cli_kit import run
from tests.faults.service_process import ServiceProcess, serving, wait_until
from tests.faults.site import Site, numbered

ORDERS = """
forks:
  orders:
    source: {sqs: {queue: "{name}-orders", envelope: raw}}
    sink: {s3: {bucket: "{name}-orders"}}
    batch: {max_age: 200ms}
    write_timeout: 2s
"""
IDLE = """
forks:
  idle:
    source: {memory: {}}
    sink: {blackhole: {}}
admin: {port: 0}
log: {format: json}
"""


def workers_of(service: ServiceProcess) -> dict[int, int]:
    """The process of each worker, as the log tells: the last one that was started counts."""
    lines = [json.loads(line) for line in service.logged().splitlines() if line.startswith("{")]
    return {line["worker"]: line["pid"] for line in lines if line["event"] == "worker started"}


def all_up(service: ServiceProcess) -> bool:
    return service.ask("/ready")[0] == 200


def status_of(service: ServiceProcess) -> Any:
    return json.loads(service.ask("/forks")[1])


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@contextmanager
def two_workers(directory: Path) -> Iterator[ServiceProcess]:
    config = directory / "forkstream.yaml"
    config.write_text(IDLE)
    with serving(config, "--workers", "2") as service:
        wait_until(lambda: all_up(service), 60, service.logged)
        yield service


def test_a_worker_that_is_killed_under_load_loses_nothing_and_another_takes_its_place(site: Site) -> None:
    queue, bucket = site.queue("orders"), site.bucket("orders")
    with serving(site.config(ORDERS), "--workers", "2") as service:
        wait_until(lambda: all_up(service), 60, service.logged)
        first = workers_of(service)
        queue.send(numbered(range(600)))
        os.kill(first[1], signal.SIGKILL)
        queue.send(numbered(range(600, 1000)))
        wait_until(lambda: not queue.left, 90, service.logged)
        wait_until(lambda: all_up(service), 60, service.logged)

        second = workers_of(service)
        assert second[2] == first[2]
        assert second[1] != first[1]
        assert service.metric("forkstream_worker_restarts_total", worker="1") == 1
        assert service.metric("forkstream_settled_total", worker="2", outcome="done") > 0
        written = status_of(service)["forks"][0]["written"]
        assert 0 < written <= 1000  # what the killed worker counted has gone with it
        wait_until(lambda: service.metric("forkstream_settled_total", outcome="done") == written, 10)

    assert {event["n"] for event in bucket.lines()} == {*range(1000)}
    assert service.process.wait() == 0
    assert all(gone(pid) for pid in second.values())


def test_a_command_is_done_when_every_worker_has_done_it_and_new_ones_know_of_it(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        service.change("/forks/idle/pause")
        status = status_of(service)
        assert status["forks"][0]["state"] == "paused"
        assert status["workers"] == {"1": "up", "2": "up"}
        assert service.logged().count('"event":"asked to pause"') == 3  # both workers and the supervisor

        os.kill(workers_of(service)[2], signal.SIGKILL)
        wait_until(lambda: not all_up(service), 10, service.logged)
        wait_until(lambda: all_up(service), 60, service.logged)
        assert service.metric("forkstream_fork_open", worker="2") == 0


def test_a_killed_supervisor_leaves_no_worker_behind(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        pids = workers_of(service).values()
        service.kill()
        wait_until(lambda: all(gone(pid) for pid in pids), 10)


def test_a_second_signal_ends_all_workers_at_once(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        pids = workers_of(service)
        with suppress(ProcessLookupError):
            os.kill(pids[1], signal.SIGSTOP)  # it cannot drain
        service.signal()
        wait_until(lambda: gone(pids[2]), 10, service.logged)
        assert service.running
        os.kill(pids[1], signal.SIGCONT)
        service.signal()
        assert service.process.wait(10) == 0
        assert gone(pids[1])


def test_a_plugin_for_one_process_is_refused_with_its_fork(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "forkstream.yaml"
    config.write_text(IDLE.replace("blackhole: {}", f"duckdb: {{path: {tmp_path}/x.duckdb, table: x}}"))
    assert run("run", str(config), "--workers", "2") == 2
    assert "forks.idle.sink.duckdb: runs in one process only, found 2 workers" in capsys.readouterr().err
    assert run("run", str(config), "--workers", "many") == 2
    assert "--workers: expected auto or a number from 1 to 256, found 'many'" in capsys.readouterr().err
