"""``forkstream resume``: let a fork receive again."""

from __future__ import annotations

from forkstream.cli.ecs import EcsOption
from forkstream.cli.options import JsonOption
from forkstream.cli.pause import set_paused
from forkstream.cli.wish import AdminOption, ForksArgument, TokenOption


def resume(
    forks: ForksArgument,
    *,
    admin: AdminOption = None,
    ecs: EcsOption = None,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Resume forks that are paused, by `forkstream pause` or by `paused: true` in the config.

    With `control` in the config every task follows, and it survives a restart. Without it, or with --admin, one
    process is told, through its admin endpoint; with --ecs every task is, through its own.

    [bold]Examples[/]

    forkstream resume replay

    forkstream resume search storage-backup deploy/ecommerce.yaml

    forkstream resume replay --ecs production/orders:9000
    """
    set_paused(forks, paused=False, admin=admin, ecs=ecs, token=token, json=json)
