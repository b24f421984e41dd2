"""``forkstream run`` as a process of its own, and what it tells of itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.faults.warm_start import Forked, WarmStart

LOG = "service.log"
"""Every log of a service has this name, and every answer of its endpoint ends up in one that has it too."""


class ServiceProcess:
    """One service; its log grows with that of others in the same directory. It starts at once where a ``warm`` start is given."""

    process: subprocess.Popen[bytes] | Forked

    def __init__(self, config: Path, *options: str, environment: dict[str, str], warm: WarmStart | None = None) -> None:
        self.log = config.parent / LOG
        self._from = self.log.stat().st_size if self.log.exists() else 0
        arguments = ["run", str(config), *options]
        if warm:
            self.process = warm.start(arguments, os.environ | environment, self.log)
            return
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "forkstream", *arguments],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def logged(self) -> str:
        """What has been logged since this process began."""
        return self.log.read_bytes()[self._from :].decode()

    def says(self, event: str) -> bool:
        """Tell whether it has logged this."""
        return f'"event":"{event}"' in self.logged()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    # What its endpoint tells.

    def ask(self, path: str) -> tuple[int, str]:
        """Ask the endpoint; the status and the text of its answer, which are kept for the scan of all logs."""
        line = next(line for line in self.logged().splitlines() if '"event":"serving"' in line)
        try:
            with urllib.request.urlopen(json.loads(line)["url"] + path, timeout=60) as answer:  # noqa: S310  # of our own
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        with self.log.with_name(f"endpoint-{LOG}").open("a") as kept:
            kept.write(text)
        return status, text

    def change(self, path: str) -> None:
        """Ask the endpoint to change something; fails if it does not."""
        line = next(line for line in self.logged().splitlines() if '"event":"serving"' in line)
        about = urllib.request.Request(  # noqa: S310  # of our own
            json.loads(line)["url"] + path, b"", {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(about, timeout=30) as answer:  # noqa: S310  # of our own
            assert answer.status == 200

    def fork(self, name: str) -> dict[str, Any]:
        """The status of one fork."""
        return next(fork for fork in json.loads(self.ask("/forks")[1])["forks"] if fork["name"] == name)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        families = text_string_to_metric_families(self.ask("/metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    # How it ends.

    def signal(self) -> None:
        """Ask it to drain; asked again, to end at once."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, as a crash does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(config: Path, *options: str, **environment: str) -> Iterator[ServiceProcess]:
    """Run a service for the block; at its end it is drained, or killed if it is not gone soon."""
    # so that a long poll, which a drain waits for, lasts 3 s at most
    brisk = {"FORKSTREAM_STOP_TIMEOUT": "12s"}
    service = ServiceProcess(config, *options, environment=brisk | environment)
    try:
        wait_until(lambda: service.says("started") or not service.running, 60, service.logged)
        assert service.running, service.logged()
        yield service
        if service.running:
            service.ask("/metrics")
            service.ask("/forks")
    finally:
        service.signal()
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(60)
        service.kill()


def wait_until(condition: Callable[[], object], limit: float, explain: Callable[[], object] = lambda: "") -> None:
    """Wait until the condition holds; fails with an explanation when the limit (seconds) is over."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {explain()}"
        time.sleep(0.1)
