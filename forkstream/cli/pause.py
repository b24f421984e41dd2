"""``forkstream pause``: let a fork's source buffer."""

from __future__ import annotations

import re

from forkstream.cli.ecs import EcsOption
from forkstream.cli.options import JsonOption
from forkstream.cli.wish import AdminOption, ForksArgument, TokenOption, Wish, print_json
from forkstream.control import DesiredState
from forkstream.errors import CommandError

_FORK = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def pause(
    forks: ForksArgument,
    *,
    admin: AdminOption = None,
    ecs: EcsOption = None,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Pause forks: they receive nothing more, and settle what they hold. Their queues buffer as long as they retain.

    With `control` in the config every task follows, and it survives a restart. Without it, or with --admin, one
    process is told, through its admin endpoint; with --ecs every task is, through its own.

    [bold]Examples[/]

    forkstream pause replay

    forkstream pause search storage-backup deploy/ecommerce.yaml

    forkstream pause replay --admin http://127.0.0.1:8080

    forkstream pause replay --ecs production/orders
    """
    set_paused(forks, paused=True, admin=admin, ecs=ecs, token=token, json=json)


def set_paused(
    arguments: list[str], paused: bool, *, admin: str | None, ecs: str | None, token: str | None, json: bool
) -> None:
    """Pause or resume forks, as ``forkstream pause`` and ``forkstream resume`` do."""
    *forks, last = arguments
    config = None if _FORK.fullmatch(last) else last
    forks = forks if config else arguments
    wrong = [name for name in forks if not _FORK.fullmatch(name)]
    if wrong or not forks:
        raise CommandError(f"{wrong[0]!r} is no name of a fork" if wrong else f"name a fork before {config}")

    def edit(desired: DesiredState) -> DesiredState:
        for name in forks:
            desired = desired.with_paused(name, paused)
        return desired

    requests = [(f"/forks/{name}/{'pause' if paused else 'resume'}", b"") for name in forks]
    reach = Wish(edit=edit, requests=requests, forks=forks).deliver(config, admin, token, ecs)
    if json:
        print_json({"paused": dict.fromkeys(forks, paused), "reach": reach})
    else:
        print(f"{', '.join(forks)}: {'paused' if paused else 'resumed'}\n{reach}")
