"""``forkstream plugins``: what is installed, and what each plugin can be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from forkstream.cli.aligned import aligned
from forkstream.cli.options import JsonOption, PluginOption
from forkstream.cli.plain import plain
from forkstream.cli.plugins_new import new
from forkstream.cli.plugins_try import try_
from forkstream.config.overrides import PREFIX, fold
from forkstream.config.problem import did_you_mean
from forkstream.config.reference import Setting, reference
from forkstream.errors import CommandError, PluginError
from forkstream.ports import Plugin
from forkstream.registry import Kind, Offer, Registry, port_of
from forkstream.settings import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")

_SLOTS = {Kind.SOURCE: "SOURCE", Kind.STAGE: "STAGES__0", Kind.SINK: "SINK"}


class Listed(msgspec.Struct, frozen=True):
    """One line of the list. ``problem`` says why it cannot be used; empty if it can."""

    name: str
    kind: str
    port: str
    distribution: str
    version: str
    problem: str


class About(msgspec.Struct, frozen=True):
    """All that can be said of a plugin without making one."""

    name: str
    kind: str
    port: str
    distribution: str
    version: str
    description: str
    settings: list[Setting]


@app.callback()
def plugins() -> None:
    """Show what is installed, and what each plugin can be told; start one of your own."""


@app.command("list")
def list_(plugin: PluginOption = None, *, json: JsonOption = False) -> None:
    """List every plugin: its name, kind and port, where it comes from, and whether it can be loaded.

    Exits with 1 if one of them cannot.

    [bold]Examples[/]

    forkstream plugins list

    forkstream plugins list --plugin ./webhook.py --json
    """
    registry = Registry.installed(plugin or ())
    rows = [_listed(registry, offer) for offer in registry.offers]
    if json:
        _print_json(rows)
    else:
        cells = [(row.name, row.kind, row.port, row.distribution, row.version, row.problem or "ok") for row in rows]
        for line in aligned([("name", "kind", "port", "distribution", "version", "state"), *cells]):
            print(line)
    if any(row.problem for row in rows):
        raise typer.Exit(1)


@app.command()
def about(
    name: Annotated[str, typer.Argument(help="The plugin's name.", show_default=False)],
    *,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind, where a name is of several.")] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Explain a plugin: what it does and each setting with its type, unit, default and environment variable.

    [bold]Examples[/]

    forkstream plugins about s3

    forkstream plugins about sqs --kind source --json
    """
    registry = Registry.installed(plugin or ())
    kinds = [each for each in Kind if kind in (None, each) and name in registry.names(each)]
    if not kinds:
        known = sorted({offer.name for offer in registry.offers if kind in (None, offer.kind)})
        near = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise CommandError(f"no {kind.value if kind else 'plugin'} is called {name!r}{near}")
    abouts = [_about(registry, each, name) for each in kinds]
    if json:
        _print_json(abouts)
        return
    for each in abouts:
        for line in _lines(each):
            print(line)


app.command()(new)
app.command("try")(try_)


def _listed(registry: Registry, offer: Offer) -> Listed:
    port, problem = "", ""
    try:
        plugin = registry.find(offer.kind, offer.name)
        found = port_of(plugin)
        port = found.__name__ if found else ""
        _settings_of(plugin, offer)
    except PluginError as error:
        problem = str(error)
    return Listed(offer.name, offer.kind.value, port, offer.distribution, offer.version, problem)


def _about(registry: Registry, kind: Kind, name: str) -> About:
    plugin = registry.find(kind, name)
    offer = next(offer for offer in registry.offers if offer.kind is kind and offer.name == name)
    port = port_of(plugin)
    variable = f"{PREFIX}FORKS__<FORK>__{_SLOTS[kind]}__{fold(name)}"
    return About(
        name=name,
        kind=kind.value,
        port=port.__name__ if port else "",
        distribution=offer.distribution,
        version=offer.version,
        description=plain(plugin.__doc__),
        settings=_settings_of(plugin, offer, variable),
    )


def _settings_of(plugin: type[Plugin[Settings]], offer: Offer, variable: str = "") -> list[Setting]:
    settings = plugin.settings_type()
    try:
        return list(reference(settings, variable))
    except (NameError, TypeError) as error:  # an annotation that cannot be resolved
        why = f"its settings {settings.__name__} cannot be understood: {error}"
        raise PluginError(f"{offer.kind.value} {offer.name!r} of {offer.origin}: {why}") from None


def _lines(about: About) -> Iterator[str]:
    yield f"{about.name} ({about.kind}, {about.port}) of {about.distribution} {about.version}".rstrip()
    yield ""
    yield from about.description.splitlines() or ["It says nothing of itself: its class has no docstring."]
    for setting in about.settings:
        yield ""
        yield f"  {setting.name}: {setting.expected} ({_given(setting)})"
        if setting.description:
            yield f"    {setting.description}"
        if setting.variable:
            yield f"    {setting.variable}"
    yield ""


def _given(setting: Setting) -> str:
    """Say whether it has to be given, and what holds if it is not."""
    if setting.required:
        return "required"
    if setting.required_within:
        return f"required within {setting.required_within}"
    return f"default {setting.default}" if setting.default else "optional"


def _print_json(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
