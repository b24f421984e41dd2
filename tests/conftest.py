"""Fixtures for every test: an embedded AWS per worker process, and names that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from forkstream.demo.embedded_aws import EmbeddedAws, embedded_aws

# time limits are pytest's: shared machines are slow now and then
settings.register_profile("forkstream", deadline=None, print_blob=True)
settings.load_profile("forkstream")


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """One embedded AWS for all tests of a worker process: make resources of your own, named with ``unique``."""
    directory: Path = tmp_path_factory.mktemp("embedded-aws")
    with embedded_aws(directory) as aws:
        yield aws


@pytest.fixture
def aws(aws_server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    """The embedded AWS, with this test's environment pointing at it and nowhere else."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_server.environment.items():
        monkeypatch.setenv(name, value)
    return aws_server


@pytest.fixture
def unique() -> str:
    """A short lower-case name that no other test uses: for queues, buckets, tables and indexes."""
    return f"t-{uuid.uuid4().hex[:12]}"
