"""``forkstream run``: the service."""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated, Final

import anyio
import typer

from forkstream.cgroup import workers_for
from forkstream.cli.options import ConfigArgument, ForkOption, PluginOption
from forkstream.config.document import Document
from forkstream.config.loading import load_config
from forkstream.config.model import ConfigFile
from forkstream.errors import CommandError
from forkstream.logs import configure_logs
from forkstream.ports import Switches
from forkstream.registry import Registry
from forkstream.serve import leave, serve, stop_timeout
from forkstream.supervisor.briefing import Briefing
from forkstream.supervisor.supervisor import Supervisor
from forkstream.ulid import ulid

_LOOP: Final = {"use_uvloop": os.name == "posix"}


def run(
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            envvar="FORKSTREAM_WORKERS",
            help="Worker processes; auto: one for each processor that the container may use.",
        ),
    ] = "1",
    admin: Annotated[bool, typer.Option(help="Serve health, metrics and the state of the forks.")] = True,
) -> None:
    """Run the forks of a config until SIGTERM or Ctrl-C, then drain them; a second signal ends at once.

    Neither loses an event. The drain has $FORKSTREAM_STOP_TIMEOUT seconds (30), less a margin: as many as there are
    between SIGTERM and SIGKILL where it runs.

    One process keeps one processor busy. With more workers a supervisor starts them, starts those again that crash,
    and answers for all of them at the admin port.

    [bold]Examples[/]

    forkstream run

    forkstream run deploy/ecommerce.yaml --fork storage-backup

    forkstream run ssm:/orders/forkstream --workers auto

    forkstream run my.yaml --plugin ./webhook.py
    """
    run_id, switches, count = ulid(), Switches(), _count(workers)
    loaded = load_config(
        config,
        forks=fork or (),
        registry=Registry.installed(plugin or ()),
        workers=count,
        run=run_id,
        switches=switches,
    )
    configure_logs(loaded.file.log, loaded.secrets)
    if count > 1:
        briefing = Briefing(
            workers=count,
            run=run_id,
            document=Document(loaded.document, loaded.text),
            forks=fork or [],
            plugins=[str(path.resolve()) for path in plugin or ()],
        )
        anyio.run(partial(_supervise, loaded.file, briefing, admin=admin), backend_options=_LOOP)
        return
    endpoint = loaded.file.admin if admin else None
    anyio.run(partial(serve, loaded, run=run_id, switches=switches, admin=endpoint), backend_options=_LOOP)
    leave()


async def _supervise(file: ConfigFile, briefing: Briefing, *, admin: bool) -> None:
    await Supervisor(file, briefing, stop_timeout=stop_timeout()).run(admin=admin)


def _count(workers: str) -> int:
    try:
        return workers_for(workers)
    except ValueError as error:
        raise CommandError(f"--workers: {error}") from None
