"""What an operator wants of a running service, and how it gets there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import anyio
import msgspec
import typer

from forkstream.cli.admin_client import AdminClient, url_of
from forkstream.cli.ecs import Target, ask_each, tasks_of
from forkstream.config.excerpt import Excerpt, read_excerpt
from forkstream.config.problem import did_you_mean
from forkstream.control import DesiredState, control_of
from forkstream.errors import CommandError
from forkstream.settings import AwsSettings

_UNAUTHORIZED = 401

ForksArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="FORK... [CONFIG]",
        help="The forks by name; then the config as for `run`, if it is not the default one.",
        show_default=False,
    ),
]
AdminOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Ask this process instead of reading a config: http://HOST:PORT or unix:/path.",
        show_default=False,
    ),
]
TokenOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="FORKSTREAM_ADMIN_TOKEN",
        help="The token of the admin endpoint. Left out: the config's.",
        show_default=False,
    ),
]
CHANGE_SECONDS = 30.0
"""How long a process may take to write the desired state where the config says."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One wish in both of its forms: an edit of the desired state, and requests to one process.

    ``forks`` are those it names; ``look`` is shown the config, if one is read.
    """

    edit: Callable[[DesiredState], DesiredState]
    requests: Sequence[tuple[str, bytes]]
    forks: Sequence[str] = ()
    look: Callable[[Excerpt], None] = lambda _: None

    def deliver(self, config: str | None, admin: str | None, token: str | None, ecs: str | None = None) -> str:
        """Write it where every task follows it, or else tell the one process or each task; returns how far it reaches."""
        if ecs:
            if admin or config:
                raise CommandError("--ecs names all there is to ask: leave out --admin and the config")
            return self._tell_tasks(tasks_of(ecs, token, CHANGE_SECONDS), ecs)
        if admin:
            return self._ask(AdminClient(admin, token, CHANGE_SECONDS))
        excerpt = read_excerpt(config)
        for name in self.forks:
            if name not in excerpt.forks:
                known = ", ".join(excerpt.forks) or "none"
                near = did_you_mean(name, excerpt.forks)
                raise CommandError(f"{excerpt.document} has no fork {name!r}{near}; known: {known}")
        self.look(excerpt)
        if excerpt.control:
            control = control_of(excerpt.control, excerpt.aws if excerpt.control.startswith("ssm:") else AwsSettings())
            anyio.run(control.change, self.edit)
            return f"written to {control.url}: every task follows it, and it survives a restart"
        settings = excerpt.admin
        url = url_of(settings.host, settings.port, settings.socket)
        return self._ask(AdminClient(url, token or settings.token, CHANGE_SECONDS))

    def _tell_tasks(self, tasks: list[Target], ecs: str) -> str:
        """Tell the first task alone: where it writes the desired state, the others find it written."""
        answers = [*ask_each(tasks[:1], self._ask), *ask_each(tasks[1:], self._ask)]
        missed = [f"{task.name}: {answer}" for task, answer in answers if isinstance(answer, CommandError)]
        if missed:
            told = f"told {len(tasks) - len(missed)} of {len(tasks)} tasks of {ecs}; not told, so ask again:"
            raise CommandError("\n  ".join([told, *missed]))
        reaches = {answer.partition(": ")[2] for _, answer in answers if isinstance(answer, str)}
        return f"told all {len(tasks)} tasks of {ecs}: {'; '.join(sorted(reaches))}"

    def _ask(self, client: AdminClient) -> str:
        reach = ""
        for path, body in self.requests:
            try:
                status, answer = client.ask("POST", path, body)
            except CommandError as error:
                raise CommandError(
                    f"{error}; does a service run there? With `control` in the config none has to, and --admin names another"
                ) from None
            told = _decoded(answer)
            if status != 200:
                why = " ".join(filter(None, (told.error or f"HTTP {status}", told.detail)))
                do = "; name it with --token or FORKSTREAM_ADMIN_TOKEN" if status == _UNAUTHORIZED else ""
                raise CommandError(f"{client.url} refuses: {why}{do}")
            reach = told.reach
        return f"told {client.url}: {reach}"


class _Answer(msgspec.Struct):
    reach: str = ""
    error: str = ""
    detail: str | None = None


def _decoded(answer: bytes) -> _Answer:
    try:
        return msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer()


def print_json(value: object) -> None:
    """Print a value for a machine."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
