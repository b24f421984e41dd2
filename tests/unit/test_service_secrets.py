"""What a service tells of a fork in trouble names what to mend, and no secret of the config."""

from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path

from forkstream.assembly import flow_of
from forkstream.config.loading import load_config
from forkstream.config.problem import masked
from forkstream.errors import UnavailableError
from forkstream.service import Service

SECRET = "hunter2hunter2"


async def test_the_state_of_a_halted_fork_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    text = (
        f"forks: {{one: {{source: memory, sink: {{http: {{url: 'https://example.com/${{file:{tmp_path}/token}}'}}}}}}}}"
    )
    config = load_config("env:CONFIG", environ={**os.environ, "CONFIG": text})
    service = Service([flow_of(plan) for plan in config.plans], shown=partial(masked, secrets=config.secrets))
    service.forks["one"].gate.halt(UnavailableError("status_403", f"POST https://example.com/{SECRET}"))
    (status,) = [service._fork_status(fork) for fork in service.forks.values()]
    service.forks["one"]._end_queues()
    del service
    gc.collect()  # what was not closed would fail another test
    assert (status.code, status.detail) == ("status_403", "POST ********")
