"""``forkstream run``: the service."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
import structlog
import typer

from forkstream.admin import Admin
from forkstream.assembly import flow_of
from forkstream.cli.options import ConfigArgument, ForkOption, PluginOption
from forkstream.config.loading import Config, load_config
from forkstream.control import control_of
from forkstream.errors import CommandError
from forkstream.logs import configure_logs
from forkstream.ports import Switches
from forkstream.registry import Registry
from forkstream.service import STOP_TIMEOUT, Service, poll_wait
from forkstream.ulid import ulid


def run(
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    admin: Annotated[bool, typer.Option(help="Serve health, metrics and the state of the forks.")] = True,
) -> None:
    """Run the forks of a config until SIGTERM or Ctrl-C, then drain them; a second signal ends at once.

    Neither loses an event. The drain has $FORKSTREAM_STOP_TIMEOUT seconds (30), less a margin: as many as there are
    between SIGTERM and SIGKILL where it runs.

    [bold]Examples[/]

    forkstream run

    forkstream run deploy/ecommerce.yaml --fork storage-backup

    forkstream run ssm:/orders/forkstream

    forkstream run my.yaml --plugin ./webhook.py
    """
    run_id, switches = ulid(), Switches()
    loaded = load_config(
        config, forks=fork or (), registry=Registry.installed(plugin or ()), run=run_id, switches=switches
    )
    configure_logs(loaded.file.log, loaded.secrets)
    anyio.run(_serve, loaded, run_id, switches, admin, backend_options={"use_uvloop": os.name == "posix"})
    _leave()


async def _serve(loaded: Config, run_id: str, switches: Switches, admin: bool) -> None:
    stop_timeout = _stop_timeout()
    file = loaded.file
    service = Service(
        [flow_of(plan, poll_wait=poll_wait(stop_timeout)) for plan in loaded.plans],
        run=run_id,
        stop_timeout=stop_timeout,
        control=control_of(file.control, file.aws) if file.control else None,
        switches=switches,
    )

    @asynccontextmanager
    async def endpoint(served: Service) -> AsyncIterator[Admin]:
        async with Admin(file.admin, served) as serving:
            structlog.get_logger("forkstream").info("serving", url=serving.url)
            yield serving

    await service.run(*([endpoint] if admin else []))


def _leave() -> None:
    """End even if a plugin's blocking call hangs: a thread can't be ended, and Python would wait for it for ever."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _stop_timeout() -> float:
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
