"""Fixtures that pytest offers wherever forkstream is installed: an AWS of one's own, and names that nobody else uses.

A fixture of the same name in a conftest or a test module stands before the one here.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest loads this module in every run, also in those that have nothing to do with forkstream
    from forkstream.demo.embedded_aws import EmbeddedAws
    from forkstream.ports import Context

_ELSEWHERE = (
    "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""What would lead an AWS client to another account than the embedded one."""


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """One embedded AWS for all tests of a process: make resources of your own, named with ``unique``.

    It takes ``pip install 'forkstream[local]'``; without it these tests are skipped.
    """
    if find_spec("ministack") is None:
        pytest.skip("the embedded AWS is not installed: pip install 'forkstream[local]'")
    from forkstream.demo.embedded_aws import embedded_aws  # noqa: PLC0415  # only for those who use it

    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            # it is not what is tested, and a process whose coverage is measured takes twice as long for a request
            for name in [name for name in os.environ if name.startswith("COV")]:
                environment.delenv(name)
            aws = stack.enter_context(embedded_aws(tmp_path_factory.mktemp("embedded-aws")))
        yield aws


@pytest.fixture
def aws(aws_server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    """The embedded AWS, with this test's environment pointing at it and nowhere else."""
    for name in _ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_server.environment.items():
        monkeypatch.setenv(name, value)
    return aws_server


@pytest.fixture
def unique() -> str:
    """A short lower-case name that no other test uses: for queues, buckets, tables and indexes."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def context() -> Context:
    """Where a plugin under test stands: in a fork called ``test``."""
    from forkstream.ports import Context  # noqa: PLC0415  # as above

    return Context(fork="test")
