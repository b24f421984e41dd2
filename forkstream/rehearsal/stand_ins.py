"""Stand-ins: what a case's fork has in place of secrets, keys and everything that AWS would be asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from forkstream.errors import CommandError
from forkstream.flow.flow import Flow
from forkstream.flow.outlet import Outlet
from forkstream.ports import ObjectStage
from forkstream.settings import Settings
from forkstream.stages.encrypt import Encrypt, EncryptConfig

TEST_KEY = hashlib.sha256(b"a key for tests, known to everybody").digest()
_SECRET = ("KEY", "SECRET", "TOKEN", "PASSWORD")
_NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",  # nobody listens there
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


class Variables(dict[str, str]):
    """A config's variables: those of the cases, and for every other its own name, long enough where it is a secret.

    The environment of the process is not among them, so that cases end alike everywhere.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)

    def __missing__(self, name: str) -> str:
        word = name.lower().replace("_", "-").strip("-")
        if any(part in name for part in _SECRET):
            return f"{word}-for-tests-known-to-everybody"
        return f"https://{word}.invalid" if word.endswith("url") else word


@contextmanager
def without_aws() -> Iterator[None]:
    """Lead whatever would reach for AWS in this process to where nobody listens."""
    before = {name: os.environ.get(name) for name in (*_NOWHERE, "AWS_PROFILE")}
    os.environ.update(_NOWHERE)
    os.environ.pop("AWS_PROFILE", None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def with_test_keys(flow: Flow, key_file: Path) -> Flow:
    """Encrypt under the key in a file instead of every other; raises CommandError for another step that calls AWS."""
    for step in flow.steps:
        called = sorted({action for permission in step.stage.permissions() for action in permission.actions})
        if called:
            raise CommandError(
                f"forks.{flow.name}.{step.name} calls AWS ({', '.join(called)}), which no case does: "
                "try that stage alone (forkstream plugins try), and leave this fork out of the cases"
            )
    letters = flow.dead_letters
    return replace(
        flow,
        outlet=_rekeyed(flow.outlet, key_file),
        dead_letters=letters and replace(letters, stages=_stages(letters.stages, key_file)),
    )


def _rekeyed(outlet: Outlet, key_file: Path) -> Outlet:
    return replace(outlet, stages=_stages(outlet.stages, key_file))


def _stages(stages: Sequence[ObjectStage[Settings]], key_file: Path) -> list[ObjectStage[Settings]]:
    return [
        Encrypt(EncryptConfig(key_file=key_file), stage.context) if isinstance(stage, Encrypt) else stage
        for stage in stages
    ]
