"""From a config's location to forks that are ready to be opened."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping

import msgspec

from forkstream.config.document import Document, read_document
from forkstream.config.draft import Draft
from forkstream.config.fit import check_fit
from forkstream.config.hint import Hint
from forkstream.config.lookup import Lookup
from forkstream.config.model import ConfigFile
from forkstream.config.overrides import Overrides, fold
from forkstream.config.plan import Plan
from forkstream.config.problem import InvalidConfigError, Place, Problems, did_you_mean
from forkstream.config.reader import Origin, Reader, Spot
from forkstream.config.tree import Table, parse
from forkstream.ports import Switches
from forkstream.registry import Registry


class Config(msgspec.Struct, frozen=True, eq=False):
    """A config without a problem: its settings, and a plan for each of its forks, in the file's order."""

    document: str
    """Where it was read from, as messages name it."""
    text: str
    file: ConfigFile
    plans: list[Plan]
    origins: Mapping[str, Origin]
    """Where each value came from that is no default, by its path: ``forks.storage-backup.batch.max_age``."""
    secrets: frozenset[str]
    """What must not be shown anywhere."""
    references: frozenset[str]
    """What is fetched at each start: ``ssm:/orders/token``, ``secretsmanager:orders#token``, ``file:/run/secrets/x``."""

    def place_of(self, path: str) -> Place:
        """Find where a setting stands, or what it would stand in."""
        while path not in self.origins and path:
            path = re.sub(r"(\.|^)[^.\[]*$|\[[0-9]+\]$", "", path)
        return self.origins[path].place if path in self.origins else Place(self.document)


def load_config(
    location: str | None = None,
    *,
    forks: Collection[str] = (),
    registry: Registry | None = None,
    environ: Mapping[str, str] | None = None,
    workers: int = 1,
    run: str = "run",
    switches: Switches | None = None,
    ask: bool = True,
) -> Config:
    """Read a config and load it as :func:`load_document` does; one in S3 or the parameter store is fetched."""
    environ = os.environ if environ is None else environ
    return load_document(
        read_document(location, environ),
        forks=forks,
        registry=registry,
        environ=environ,
        workers=workers,
        run=run,
        switches=switches,
        ask=ask,
    )


def load_document(
    document: Document,
    *,
    forks: Collection[str] = (),
    registry: Registry | None = None,
    environ: Mapping[str, str] | None = None,
    workers: int = 1,
    run: str = "run",
    switches: Switches | None = None,
    ask: bool = True,
) -> Config:
    """Check a config and build its forks' plugins; nothing is opened, and nobody is asked anything but secrets.

    ``forks`` narrows it to some forks: the variables and plugins of the others may be missing. ``workers`` is how
    many processes will run it. Raises :class:`InvalidConfigError` with every problem there is, sorted by place.
    What ``${ssm:…}`` and ``${secretsmanager:…}`` stand for is fetched with an event loop of its own, so call it outside
    of any. Without ``ask`` references stand for their own names.
    """
    environ = os.environ if environ is None else environ
    problems = Problems()
    root = parse(document.text, document.name, problems)
    if root is None:
        raise InvalidConfigError(problems.sorted())
    overrides = Overrides.of(environ, ConfigFile.__struct_encode_fields__)
    lookup: Callable[[str], str] = _its_name
    if isinstance(root, Table):
        root, overrides = _narrowed(root, overrides, forks, problems)
        if ask:
            lookup = Lookup.of(root, root, overrides, environ)
    references: set[str] = set()

    def looked_up(reference: str) -> str:
        references.add(reference)
        return lookup(reference)

    reader = Reader(registry or Registry.installed(), environ, problems, looked_up)
    file = reader.read(Hint(ConfigFile), Spot("", root, overrides, Place(document.name)))
    drafts = [Draft(name, reader) for name in _fork_names(root)]
    for draft in drafts:
        draft.build(run=run, switches=switches or Switches(), problems=problems)
    check_fit(drafts, workers=workers, problems=problems)
    if len(problems) or not isinstance(file, ConfigFile):
        raise InvalidConfigError(problems.sorted())
    plans = [draft.plan(file.forks[draft.name]) for draft in drafts]
    return Config(
        document.name, document.text, file, plans, reader.origins, frozenset(problems.secrets), frozenset(references)
    )


def _its_name(reference: str) -> str:
    return reference.partition(":")[2].rpartition("/")[2]


def _fork_names(root: object) -> list[str]:
    forks = root.entries.get("forks") if isinstance(root, Table) else None
    return list(forks.entries) if isinstance(forks, Table) else []


def _narrowed(
    root: Table, overrides: Overrides, wanted: Collection[str], problems: Problems
) -> tuple[Table, Overrides]:
    """Leave out the forks that nobody wants, and what the environment says of them, before anything is read."""
    whole = overrides.child("forks")
    if whole and whole.value is not None:
        problems.add(
            Place(f"${whole.variable}"), "forks", "cannot be set as a whole: set what single forks are to have"
        )
    forks = root.entries.get("forks")
    if not isinstance(forks, Table):
        return root, overrides
    spelt: dict[str, str] = {}
    for name in forks.entries:
        if fold(name) in spelt:
            problems.add(
                forks.keys[name],
                f"forks.{name}",
                f"differs only in - and _ from forks.{spelt[fold(name)]}: the environment could not tell them apart",
            )
        spelt[fold(name)] = name
    unknown = [name for name in wanted if name not in forks.entries]
    for name in unknown:
        near = did_you_mean(name, forks.entries) or f"; known: {', '.join(forks.entries)}"
        problems.add(forks.place, "forks", f"has no fork {name}, which --fork names{near}")
    if unknown:  # reading the others would tell of forks that nobody asked for
        raise InvalidConfigError(problems.sorted())
    unwanted = [name for name in forks.entries if wanted and name not in wanted]
    kept = Table({name: node for name, node in forks.entries.items() if name not in unwanted}, forks.keys, forks.place)
    return (
        Table({**root.entries, "forks": kept}, root.keys, root.place),
        overrides.replacing("forks", lambda below: below.without(unwanted)),
    )
