"""Fixtures for tests that need a server of another make than AWS."""

from __future__ import annotations

import pytest

from tests.servers.opensearch.fixtures import cramped_opensearch, opensearch

__all__ = ["cramped_opensearch", "opensearch"]

_FIRST_FETCH_SECONDS = 600
"""The first test on a machine waits for Maven, and all its neighbours wait with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests with an OpenSearch the time that its installation can take."""
    for item in items:
        if {"opensearch", "cramped_opensearch"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(_FIRST_FETCH_SECONDS))
