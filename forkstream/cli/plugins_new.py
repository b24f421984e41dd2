"""``forkstream plugins new``: a distribution with a plugin that works, from which one's own is made."""

from __future__ import annotations

import enum
import keyword
import re
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import msgspec
import typer

import forkstream
from forkstream.errors import CommandError
from forkstream.ports import PORTS_VERSION
from forkstream.registry import Kind, Registry


class Port(enum.Enum):
    """What can be written, by the words of the command line."""

    EVENT_SINK = "event-sink"
    OBJECT_SINK = "object-sink"
    EVENT_STAGE = "event-stage"
    ASYNC_STAGE = "async-stage"
    OBJECT_STAGE = "object-stage"
    SOURCE = "source"

    @property
    def kind(self) -> Kind:
        """Where in a fork such a plugin stands."""
        return Kind(self.value.rpartition("-")[2])


_EXAMPLES = {
    Port.EVENT_SINK: "sink: {$plugin: {path: events.db}}",
    Port.OBJECT_SINK: "sink: {$plugin: {directory: objects, prefix: orders/}}",
    Port.EVENT_STAGE: "stages:\n  - $plugin: {field: shop, value: north}",
    Port.ASYNC_STAGE: "stages:\n  - $plugin: {table: customers.json}",
    Port.OBJECT_STAGE: "stages:\n  - $plugin: {level: 9}",
    Port.SOURCE: "source: {$plugin: {path: queue.db}}",
}
"""How the plugin of each template is named in a config."""


class Names(msgspec.Struct, frozen=True):
    """What a plugin is called in each place."""

    plugin: str
    distribution: str
    package: str
    module: str
    cls: str


def new(
    name: Annotated[
        str, typer.Argument(help="The plugin's name as a config will say it, such as webhook.", show_default=False)
    ],
    *,
    kind: Annotated[Port, typer.Option(help="The port that it implements.", show_default=False)],
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the distribution's directory is made.")
    ] = Path(),
) -> None:
    """Write a plugin to start from: an installable distribution whose tests pass.

    It makes the directory forkstream-NAME with the plugin, its settings, its entry point, a test that holds it to every
    rule of its port, and a README. What the plugin does is an example that works; replace it bit by bit.

    [bold]Examples[/]

    forkstream plugins new webhook --kind event-sink

    forkstream plugins new lower-case --kind event-stage --directory plugins
    """
    names = names_of(name, kind)
    target = directory / names.distribution
    if target.exists():
        raise CommandError(f"{target} exists already: nothing was written; take another name or another --directory")
    write(names, kind, target)
    print(_next(names, kind, target))


def names_of(name: str, port: Port) -> Names:
    """Derive every name from the plugin's; raises :class:`CommandError` for one that cannot be."""
    if name.startswith("forkstream-"):
        short = name.removeprefix("forkstream-")
        raise CommandError(f"{name}: give the name that a config will say, {short!r}; the distribution is then {name}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise CommandError(f"{name!r}: expected lower-case words joined by -, such as webhook or lower-case")
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise CommandError(f"{name!r} is a word of Python, so no module can have it: take another name")
    words = name.removesuffix(f"-{port.kind.value}").split("-")
    cls = "".join(word.capitalize() for word in [*words, port.kind.value])
    if cls in forkstream.__all__:
        raise CommandError(f"{name!r}: its class would be {cls}, which is forkstream's own: take another name")
    taken = [offer.origin for offer in Registry.installed().offers if (offer.kind, offer.name) == (port.kind, name)]
    if taken:
        raise CommandError(
            f"a {port.kind.value} called {name!r} is installed already, of {taken[0]}: two of one name cannot be told "
            "apart, so take another name"
        )
    return Names(name, f"forkstream-{name}", f"forkstream_{module}", module, cls)


def write(names: Names, port: Port, target: Path) -> None:
    """Write the whole distribution into a directory that does not exist."""
    values = {
        **msgspec.structs.asdict(names),
        "what": port.value.replace("-", " "),
        "group": port.kind.group,
        "ports": str(PORTS_VERSION),
        "range": _range(version("forkstream")),
        "example": _EXAMPLES[port].replace("$plugin", names.plugin),
    }
    for path, template in _files(names, port):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(template).substitute(values), encoding="utf-8")


def _files(names: Names, port: Port) -> Iterator[tuple[str, str]]:
    """Each file's path, and the template of its content."""
    templates = files("forkstream.cli") / "templates"
    for path, template in (
        ("pyproject.toml", "pyproject.toml"),
        ("README.md", "README.md"),
        (f"src/{names.package}/__init__.py", "init.py"),
        (f"src/{names.package}/{names.module}.py", f"{port.value}/plugin.py"),
        (f"tests/test_{names.module}.py", f"{port.value}/test.py"),
    ):
        yield path, (templates / f"{template}.template").read_text(encoding="utf-8")
    yield f"src/{names.package}/py.typed", ""


def _range(release: str) -> str:
    """The releases whose ports are this one's: they change only with the first number of a release that is not 0."""
    major, minor = (int(number) for number in release.split(".")[:2])
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"


def _next(names: Names, port: Port, target: Path) -> str:
    return f"""\
{target} holds the {port.value.replace("-", " ")} {names.plugin}. Now:

    cd {target}
    python -m pip install -e '.[test]'
    python -m pytest
    forkstream plugins about {names.plugin}

Then replace what src/{names.package}/{names.module}.py does; tests/test_{names.module}.py says which rule it breaks."""
