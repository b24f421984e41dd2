"""The table of commands, each imported only when it is called: ``forkstream --help`` has to be there at once."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Entry(NamedTuple):
    """One command: ``target`` is a function with typer's annotations, or a :class:`typer.Typer` with commands of its own."""

    target: str
    help: str


COMMANDS = {
    "run": Entry("forkstream.cli.run:run", "Run the forks of a config until it is told to stop."),
    "demo": Entry("forkstream.cli.demo:demo", "Run the e-commerce application on this machine."),
    "bench": Entry("forkstream.cli.bench:bench", "Measure how fast it is, on this machine and without AWS."),
    "check": Entry("forkstream.cli.check:check", "Check a config, and on request everything that it names."),
    "test": Entry("forkstream.cli.cases:run_cases", "Try a config's test cases, without any service."),
    "top": Entry("forkstream.cli.top:top", "Show running services, live."),
    "config": Entry("forkstream.cli.config:config", "Show what a config comes to, and where each value is from."),
    "schema": Entry("forkstream.cli.schema:schema", "Print the schema of a config, for editors."),
    "pause": Entry("forkstream.cli.pause:pause", "Let a fork's source buffer."),
    "resume": Entry("forkstream.cli.resume:resume", "Let a paused fork receive again."),
    "switch": Entry("forkstream.cli.switch:switch", "Turn a switch that plugins read while they run."),
    "health": Entry("forkstream.cli.health:health", "Tell whether a restart would help the service."),
    "dlq": Entry("forkstream.cli.dlq.app:app", "List, show and redrive dead letters."),
    "cost": Entry("forkstream.cli.cost:cost", "Estimate what a config costs on AWS, at a rate of events."),
    "iam": Entry("forkstream.cli.iam:iam", "Print the IAM policy that a config needs, and no more."),
    "plugins": Entry("forkstream.cli.plugins:app", "Show what is installed, and what each plugin can be told."),
}
"""Every command by name, in the order in which ``--help`` shows them."""


EXIT_CODES = (
    "Exits with 0 when it is done, with 1 if something is not as it should be, with 2 if it cannot do what was asked."
)
"""What holds for every command, said where a command's own text says nothing more precise."""


def command() -> TyperGroup:
    """Build the ``forkstream`` command."""
    # plain, since rich takes longer to import than all the rest; a command's own help is rich
    app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(forkstream)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101  # what an app with a callback is
    return group


class Commands(TyperGroup):
    """Shows commands from the table alone, and imports one when it is run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the overridden method's
        """Name the commands in the table's order."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and found else found, rest


def load(name: str) -> Any:
    """Import a command."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    target = getattr(import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name)(target)
        target = app
    loaded = typer.main.get_command(target)
    loaded.name = name
    for each in getattr(loaded, "commands", {"": loaded}).values():
        if "xits with" not in (each.help or ""):
            each.epilog = EXIT_CODES
        each.help = _flowing(each.help or "")
        for parameter in each.get_params(typer.Context(each)):
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""  # typer would show <bool>, and --json takes no value
    return loaded


def _flowing(text: str) -> str:
    """Leave the line breaks between paragraphs alone: those within are the source's, and no terminal is as wide."""
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in text.split("\n\n"))


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  # see COMMANDS: nobody else waits for it

        print(f"forkstream {version('forkstream')}")
        raise typer.Exit


def forkstream(
    version: Annotated[  # its callback does what it asks for
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Events from a queue, through your plugins, into every sink safely.

    Every command exits with 0 when it is done, with 1 if something is not as it should be, and with 2 if it cannot do
    what was asked. FORKSTREAM_DEBUG=1 shows an unexpected error whole.
    """
