"""``forkstream config``: what a config comes to, and where each value is from."""

from __future__ import annotations

import msgspec

from forkstream.cli.options import ConfigArgument, ForkOption, JsonOption, PluginOption
from forkstream.config.effective import EffectiveValue, effective_values
from forkstream.config.loading import load_config
from forkstream.registry import Registry

_WIDEST = 40  # a longer value moves its own origin only


def config(
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Show the value of every setting that holds and where it is from, line by line; no secret is shown.

    From the file with its line, and the variable if there is one; from a variable that overrides it; or a default,
    which for a batch's limits is the sink's. What is nothing by default is left out, but for --json.

    [bold]Examples[/]

    forkstream config deploy/ecommerce.yaml --fork replay

    FORKSTREAM_FORKS__SEARCH__BATCH__MAX_AGE=5s forkstream config | grep search.batch

    forkstream config ssm:/orders/forkstream --json
    """
    loaded = load_config(config, forks=fork or (), registry=Registry.installed(plugin or ()), run="config")
    values = list(effective_values(loaded))
    if json:
        print(msgspec.json.format(msgspec.json.encode(values), indent=2).decode())
        return
    rows = [(each.path, _written(each), each.origin) for each in values if each.value is not None]
    paths = max(len(path) for path, _, _ in rows)
    widest = min(max(len(value) for _, value, _ in rows), _WIDEST)
    for path, value, origin in rows:
        print(f"{path:<{paths}}  {value:<{widest}}  {origin}")


def _written(each: EffectiveValue) -> str:
    if isinstance(each.value, bool):
        return str(each.value).lower()
    return '""' if each.value == "" else str(each.value)
