"""The shop, deployed once for a test module."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from forkstream.demo.application import DEPLOY, deploy
from forkstream.demo.embedded_aws import EmbeddedAws
from tests.acceptance.shop import Shop
from tests.servers.opensearch.fixtures import opensearch

__all__ = ["opensearch"]


@pytest.fixture(scope="module")
def shop(aws_server: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The application as a stack of its own, and an environment that leads to it."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            environment.delenv(name, raising=False)
        for name, value in aws_server.environment.items():
            environment.setenv(name, value)
        application = deploy(aws_server, stack=f"shop-{uuid.uuid4().hex[:8]}")
        yield Shop(application, DEPLOY / "ecommerce.yaml", tmp_path_factory.mktemp("shop"))
