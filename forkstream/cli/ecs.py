"""Commands that reach every task of an ECS service, each by its own admin endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeAlias, TypeVar

import anyio
import msgspec
import typer

from forkstream.cli.admin_client import AdminClient, url_of
from forkstream.errors import CommandError
from forkstream.settings import AwsSettings

EcsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="CLUSTER/SERVICE[:PORT]",
        help="Ask every task of this ECS service instead of reading a config: where its private addresses can be reached, "
        "with network mode awsvpc, admin.host 0.0.0.0 and a token.",
        show_default=False,
    ),
]
_AT_ONCE = 16

T = TypeVar("T")


class Target(msgspec.Struct, frozen=True):
    """One task, or one process: ``client`` asks it; None if it cannot be asked, and then ``trouble`` says why."""

    name: str
    client: AdminClient | None
    trouble: str = ""

    def ask(self, question: Callable[[AdminClient], T]) -> T:
        """Ask it; raises CommandError where it cannot be asked."""
        if self.client is None:
            raise CommandError(self.trouble)
        return question(self.client)


def tasks_of(ecs: str, token: str | None, timeout: float) -> list[Target]:
    """Find every task of a service, each with a client of ``timeout`` seconds; raises CommandError if there is none."""
    from forkstream.aws.ecs_service import EcsService, EcsTask  # noqa: PLC0415  # AWS's SDK takes a second to import

    try:
        service = EcsService.parse(ecs)
    except ValueError as error:
        raise CommandError(f"--ecs: {error}") from None

    def target(task: EcsTask) -> Target:
        if task.address is None:
            return Target(task.id, None, f"has no address ({task.status})")
        return Target(task.id, AdminClient(url_of(task.address, service.port, None), token, timeout))

    found = [target(task) for task in anyio.run(service.tasks, AwsSettings())]
    if not found:
        raise CommandError(f"{service.cluster}/{service.service} has no task that is meant to run")
    return found


def ask_each(targets: list[Target], question: Callable[[AdminClient], T]) -> Iterator[tuple[Target, T | CommandError]]:
    """Ask all, many at once; what came of each, in their order: its answer, or why there is none."""

    def asked(target: Target) -> T | CommandError:
        try:
            return target.ask(question)
        except CommandError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from zip(targets, pool.map(asked, targets), strict=True)
