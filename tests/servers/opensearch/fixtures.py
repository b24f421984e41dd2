"""Fixtures with a real OpenSearch; a conftest imports those that its tests use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.opensearch.installation import InstallationError
from tests.servers.opensearch.shared_server import shared_server

_CRAMPED = (
    "thread_pool.write.size=1",
    "thread_pool.write.queue_size=1",
    "indexing_pressure.memory.limit=200kb",
    "cluster.max_shards_per_node=60",
    "action.auto_create_index=-uncreatable-*,+*",
)
"""A server that soon has enough: one write at a time and one waiting, little memory for requests, few shards."""


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real OpenSearch, one for the whole run: make indexes of your own, named with ``unique``."""
    yield from _server(tmp_path_factory, "opensearch", "action.auto_create_index=-uncreatable-*,+*")


@pytest.fixture(scope="session")
def cramped_opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one that refuses work early; it costs another 3 s and 400 MB, so use it for nothing else."""
    yield from _server(tmp_path_factory, "cramped-opensearch", *_CRAMPED)


def _server(factory: pytest.TempPathFactory, name: str, *settings: str) -> Iterator[str]:
    directory = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # the run's own; without xdist that would be every run's
    try:
        with shared_server(directory / name, *settings) as url:
            yield url
            return
    except InstallationError as error:
        reason = str(error)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
