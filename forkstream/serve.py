"""One process that runs the forks of a config: what ``forkstream run`` is, and what each of its workers is."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import structlog

from forkstream.admin import Admin
from forkstream.assembly import flow_of, lender_of
from forkstream.cgroup import Cgroup
from forkstream.config.loading import Config
from forkstream.config.model import AdminSettings
from forkstream.config.problem import masked
from forkstream.control import control_of
from forkstream.errors import CommandError
from forkstream.ports import Switches
from forkstream.service import STOP_TIMEOUT, Service, poll_wait

_OPEN_SECONDS = 5.0
"""By then plugins are open, as a rule, with all that their SDKs load."""


async def serve(
    config: Config,
    *,
    run: str,
    switches: Switches,
    admin: AdminSettings | None,
    paused: Mapping[str, bool] | None = None,
    workers: int = 1,
) -> None:
    """Run the forks until a signal ends them; ``paused`` wins over what the config says of a fork's start.

    This is one of ``workers`` processes that share the memory.
    """
    timeout = stop_timeout()
    limit = Cgroup().memory()
    memory = config.file.memory or (limit // 2 if limit else None)
    lender = lender_of(config.plans, memory, workers=workers)
    flows = [flow_of(plan, poll_wait=poll_wait(timeout), lender=lender) for plan in config.plans]
    wanted = paused or {}
    service = Service(
        [msgspec.structs.replace(flow, paused=wanted.get(flow.name, flow.paused)) for flow in flows],
        run=run,
        stop_timeout=timeout,
        control=control_of(config.file.control, config.file.aws) if config.file.control else None,
        switches=switches,
        shown=partial(masked, secrets=config.secrets),
    )

    @asynccontextmanager
    async def endpoint(served: Service) -> AsyncIterator[None]:
        assert admin is not None  # noqa: S101  # it is opened only then
        async with Admin(admin, served) as serving:
            structlog.get_logger("forkstream").info("serving", url=serving.url)
            yield

    await service.run(*([endpoint] if admin else []), on_started=_collect_seldom)


def _collect_seldom() -> None:
    """Keep Python's collector of cycles off the hot path: events are freed by their reference counts, all of them.

    With its own thresholds it takes 10 to 17 % of the time at saturation, and stalls the loop for 60 to 100 ms whenever
    it looks at everything, most of which is code. So code is set aside now, what plugins have loaded when they are open,
    and it looks for new cycles (of exceptions, of clients) after 50,000 objects instead of 700.
    """
    gc.set_threshold(50_000, 20, 50)
    gc.freeze()
    asyncio.get_running_loop().call_later(_OPEN_SECONDS, gc.freeze)


def leave() -> None:
    """End even if a plugin's blocking call hangs: a thread can't be ended, and Python would wait for it for ever."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def stop_timeout() -> float:
    """Seconds that there are between SIGTERM and SIGKILL, from the environment; raises CommandError if it makes no sense."""
    text = os.environ.get("FORKSTREAM_STOP_TIMEOUT", "")
    if not text:
        return STOP_TIMEOUT
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise CommandError(f"$FORKSTREAM_STOP_TIMEOUT: expected 1 to 86400 seconds such as 30, found {text!r}")
    return seconds
