"""An AWS of one's own on loopback: ministack in a process of its own, for the demo and for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from forkstream.errors import CommandError

REGION = "eu-west-1"
_START_SECONDS = 30.0


class EmbeddedAws(msgspec.Struct, frozen=True):
    """A running embedded AWS: one endpoint for every service, and the credentials that it takes (any would do)."""

    endpoint_url: str
    region: str = REGION
    access_key: str = "test"
    secret_key: str = "test"  # noqa: S105  # the emulator accepts any

    @property
    def environment(self) -> dict[str, str]:
        """What a child process, boto3 and forkstream need in their environment to reach it and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Make boto3's client of one service, which reaches it whatever the environment says."""
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types; the extra `local` brings it

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def embedded_aws(directory: Path) -> Iterator[EmbeddedAws]:
    """Start an embedded AWS that keeps its files under ``directory``; it ends with the block."""
    port = free_port()
    aws = EmbeddedAws(f"http://127.0.0.1:{port}")
    log = directory / "embedded-aws.log"
    environment = os.environ | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "IOT_MTLS_ENABLED": "0",  # otherwise it opens a port on every interface
        "TMPDIR": str(directory),
    }
    # its Lambda functions call back to the same endpoint
    environment |= aws.environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "forkstream.demo.leash", "forkstream.demo.whole_requests"],
            env=environment,
            cwd=directory,
            stdin=subprocess.PIPE,  # the leash
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C reaches forkstream first, which then ends this in order
        )
    try:
        _wait_until_ready(aws, process, log)
        yield aws
    finally:
        _end(process)


def _wait_until_ready(aws: EmbeddedAws, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{aws.endpoint_url}/_ministack/health", timeout=1):  # noqa: S310
            return
        time.sleep(0.02)
    raise CommandError(
        f"the embedded AWS did not start within {_START_SECONDS:.0f} s; its log is {log}:\n{log.read_text()[-2000:]}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group, so that no Lambda worker of it stays behind."""
    # it waits for functions under way, for the sake of a state that ends with it anyway
    for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert process.stdin  # noqa: S101  # it was started with a pipe
    process.stdin.close()
