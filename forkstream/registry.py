"""The registry: which plugins are installed, and the one door through which each is loaded, built-in or a stranger's."""

from __future__ import annotations

import enum
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Self

import msgspec

from forkstream.errors import PluginError
from forkstream.ports import (
    PORTS_VERSION,
    AsyncStage,
    EventSink,
    EventStage,
    ObjectSink,
    ObjectStage,
    Plugin,
    Source,
)
from forkstream.settings import Settings


class Kind(enum.Enum):
    """Where in a fork a plugin can stand. Names are unique within a kind: ``sqs`` is a source and a sink."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"

    @property
    def group(self) -> str:
        """The entry-point group that plugins of this kind are registered under."""
        return f"forkstream.{self.value}s"

    @property
    def ports(self) -> tuple[type[Plugin[Settings]], ...]:
        """The ports that such a plugin implements, one of them."""
        match self:
            case Kind.SOURCE:
                return (Source,)
            case Kind.STAGE:
                return (EventStage, AsyncStage, ObjectStage)
            case Kind.SINK:
                return (EventSink, ObjectSink)


def port_of(plugin: type[Plugin[Settings]]) -> type[Plugin[Settings]] | None:
    """Find the port that a plugin class implements; None if it implements none."""
    return next((port for kind in Kind for port in kind.ports if issubclass(plugin, port)), None)


class Offer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One plugin that some distribution, or a file, offers; loaded only when somebody asks for it."""

    kind: Kind
    name: str
    distribution: str
    version: str
    target: str
    """What is loaded: ``module:Class``."""
    load: Callable[[], object]

    @property
    def origin(self) -> str:
        """The distribution and its version, as messages name them."""
        return f"{self.distribution} {self.version}".strip()


class Registry:
    """The plugins on offer. Nothing of a plugin is imported before :meth:`find` is asked for it by name."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.offers = sorted(offers, key=lambda offer: (list(Kind).index(offer.kind), offer.name, offer.origin))

    @classmethod
    def installed(cls, files: Iterable[Path] = ()) -> Self:
        """Everything installed beside forkstream, and the plugins of ``files``."""
        points = {point for kind in Kind for point in entry_points(group=kind.group)}
        return cls([*map(_offer, points), *(offer for file in files for offer in load_file(file))])

    def names(self, kind: Kind) -> list[str]:
        """Every name on offer of a kind, sorted."""
        return sorted({offer.name for offer in self.offers if offer.kind is kind})

    def find(self, kind: Kind, name: str) -> type[Plugin[Settings]]:
        """Load the plugin of that kind and name; raises :class:`PluginError` that says why not and what to do."""
        found = [offer for offer in self.offers if offer.kind is kind and offer.name == name]
        if not found:
            raise PluginError(self._unknown(kind, name))
        if len(found) > 1:
            origins = " and by ".join(offer.origin for offer in found)
            raise PluginError(
                f"{kind.value} {name!r} is offered by {origins}: only one of them can be there, so uninstall or rename the others"
            )
        return self.load(found[0])

    def load(self, offer: Offer) -> type[Plugin[Settings]]:
        """Import what is offered and check that it is what it says; raises :class:`PluginError` with the cause."""
        who = f"{offer.kind.value} {offer.name!r} of {offer.origin}"
        try:
            plugin = offer.load()
        except Exception as error:
            why = f"{who} cannot be imported ({offer.target}): {type(error).__name__}: {error}"
            raise PluginError(f"{why}: {_what_to_do(error, offer)}") from error
        if not (inspect.isclass(plugin) and issubclass(plugin, Plugin)):
            raise PluginError(f"{who} is no plugin: {offer.target} is not a class derived from a port")
        if not issubclass(plugin, offer.kind.ports):
            port = port_of(plugin)
            found = f"an {port.__name__}" if port else "of no port"
            wanted = " or ".join(port.__name__ for port in offer.kind.ports)
            raise PluginError(f"{who} is {found}, where {wanted} is due: register it under another entry-point group")
        if inspect.isabstract(plugin):
            missing = ", ".join(sorted(plugin.__abstractmethods__))
            raise PluginError(f"{who} is unfinished: it does not define {missing}")
        if plugin.ports_version != PORTS_VERSION:
            raise PluginError(
                f"{who} is made for version {plugin.ports_version} of the ports, this forkstream has version "
                f"{PORTS_VERSION}: install a release of {offer.distribution} that fits, or another forkstream"
            )
        return plugin

    def _unknown(self, kind: Kind, name: str) -> str:
        others = [offer.kind.value for offer in self.offers if offer.name == name]
        if others:
            return f"{name!r} is a {others[0]}, not a {kind.value}; known {kind.value}s: {', '.join(self.names(kind))}"
        near = get_close_matches(name, self.names(kind), n=1)
        return (
            f"no {kind.value} is called {name!r}{f', did you mean {near[0]!r}?' if near else ''}; "
            f"known {kind.value}s: {', '.join(self.names(kind)) or 'none'}; "
            "one of another distribution has to be installed beside forkstream (pip install …), "
            "one in a file is loaded with --plugin FILE"
        )


def _what_to_do(error: Exception, offer: Offer) -> str:
    """Say what mends a plugin that cannot be imported: most often something beside it is missing or too new."""
    name = (error.name or "") if isinstance(error, ImportError) else ""
    if name.partition(".")[0] == "forkstream":
        return f"it seems to be made for another forkstream, so install a release of {offer.distribution} that fits this one"
    if isinstance(error, ModuleNotFoundError):
        return f"install it beside the plugin, which `pip install {offer.distribution}` does if that requires it"
    return f"mend it, or install another release of {offer.distribution}"


def _offer(point: EntryPoint) -> Offer:
    """Offer what an entry point names."""
    return Offer(
        kind=next(kind for kind in Kind if kind.group == point.group),
        name=point.name,
        distribution=point.dist.name if point.dist else "an unknown distribution",
        version=point.dist.version if point.dist else "",
        target=point.value,
        load=point.load,
    )


def load_file(path: Path) -> list[Offer]:
    """Run a Python file and offer every plugin that it defines, under its ``name`` or its class's name in kebab case.

    Raises :class:`PluginError` if the file cannot be read or run, or defines no plugin.
    """
    name = f"forkstream_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"plugin file {path} is not a Python file (its name must end in .py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs, as an import does: its annotations are resolved there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            told = f"{type(error).__name__}: {error}{_line_of(error, path)}"
            raise PluginError(f"plugin file {path} cannot be loaded: {told}") from error
    offers = [
        Offer(
            kind=kind,
            name=_name(plugin),
            distribution=str(path),
            version="",
            target=plugin.__name__,
            load=partial(_same, plugin),
        )
        for plugin in vars(module).values()
        if inspect.isclass(plugin) and issubclass(plugin, Plugin) and plugin.__module__ == name
        if not plugin.__name__.startswith("_")
        for kind in Kind
        if issubclass(plugin, kind.ports)
    ]
    if not offers:
        raise PluginError(f"plugin file {path} defines no plugin: derive a class from a port of forkstream.ports")
    return offers


def _same(plugin: type[Plugin[Settings]]) -> type[Plugin[Settings]]:
    return plugin


def _name(plugin: type[Plugin[Settings]]) -> str:
    """``Webhook`` is ``webhook``, ``HttpPost`` is ``http-post``; a class attribute ``name`` overrules."""
    name = getattr(plugin, "name", None)
    return (
        name
        if isinstance(name, str)
        else re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", plugin.__name__).lower()
    )


def _line_of(error: Exception, path: Path) -> str:
    """Tell the line of a file that was running as an error was raised; a SyntaxError names its own."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""
