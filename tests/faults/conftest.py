"""What every test of faults starts from: a site of its own on the embedded AWS, and a relay before it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import botocore
import pytest

from forkstream.aws.open_queue import Client
from forkstream.demo.embedded_aws import EmbeddedAws
from tests.faults.leaks import leaks_in_aws, leaks_in_files
from tests.faults.relay import Relay, relay_to
from tests.faults.site import Site


@pytest.fixture(scope="session", autouse=True)
def no_card_anywhere(aws_server: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """When all tests of this process are over: no planted card number in any log, metric, key, metadata or dead letter.

    It looks at what every test has left behind, those of other folders too, and fails the run.
    """
    yield
    assert leaks_in_aws(aws_server) == leaks_in_files(tmp_path_factory.getbasetemp()) == []


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one certificate: nothing here speaks TLS, and loading all 140 costs 60 ms a client."""
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text(Path(botocore.__file__).with_name("cacert.pem").read_text().partition(end)[0] + end)
    return path


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Client | None:
    """The wire to SQS of this test's services: see ``on_both_wires``; None leaves it to forkstream's own default.

    Set FORKSTREAM_CLIENT to run all of the suite on one of the two.
    """
    chosen: Client | None = getattr(request, "param", None)
    return chosen or cast("Client | None", os.environ.get("FORKSTREAM_CLIENT"))


@pytest.fixture
def site(
    aws: EmbeddedAws,
    unique: str,
    tmp_path: Path,
    one_certificate: Path,
    client: Client | None,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(one_certificate))
    return Site(aws, unique, tmp_path, client)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count nothing that a test's services do as covered: they start in half the time, and others run the same lines."""
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)


@pytest.fixture
def relay(aws: EmbeddedAws) -> Iterator[Relay]:
    """A relay before all of AWS: start a service with ``AWS_ENDPOINT_URL=relay.url``."""
    with relay_to(aws.endpoint_url) as relay:
        yield relay


@pytest.fixture
def seed() -> int:
    """The seed of this test: set FORKSTREAM_SEED to have the same one again."""
    chosen = int(os.environ.get("FORKSTREAM_SEED", random.randrange(10**6)))
    print(f"FORKSTREAM_SEED={chosen}")  # noqa: T201  # pytest shows it where the test fails
    return chosen
