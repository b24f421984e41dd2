"""What works and will hurt: a plugin's advice, or the config's own, with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from forkstream.config.limits_advice import Site, advice_on_limits, advice_on_memory, longest_hold
from forkstream.config.loading import Config
from forkstream.config.plan import Plan
from forkstream.config.problem import Place, masked
from forkstream.ports import Advice, Plugin, Surroundings
from forkstream.settings import Settings


class ConfigWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One warning: where it stands, what was found there, why that hurts and what to do."""

    place: Place
    path: str
    """The setting's dotted path, or the plugin's: ``forks.storage-backup.source.sqs``."""
    fork: str
    code: str
    found: str
    why: str
    do: str

    def __str__(self) -> str:
        """Three lines: where and what, why it hurts, what to do."""
        return f"{self.place}: warning: {self.path}: {self.found} ({self.code})\n    {self.why}\n    → {self.do}"

    @classmethod
    def of(cls, config: Config, plan: Plan, advice: Advice, *, step: str = "") -> ConfigWarning:
        """Give advice its place in the file; ``step`` names the plugin within its fork whose advice it is."""
        path = ".".join(part for part in ("forks", plan.name, step, advice.setting) if part)

        def shown(text: str) -> str:
            return masked(text, config.secrets)

        return cls(
            place=config.place_of(path),
            path=path,
            fork=plan.name,
            code=advice.code,
            found=shown(advice.found),
            why=advice.why,
            do=shown(advice.do),
        )


def warnings_on_limits(config: Config, site: Site) -> Iterator[ConfigWarning]:
    """The config's own warnings, which take no plugin to be asked."""
    for plan in config.plans:
        for advice in advice_on_limits(plan, site):
            yield ConfigWarning.of(config, plan, advice)
    for plan, advice in advice_on_memory(config.plans, site):
        yield ConfigWarning.of(config, plan, advice)


def surroundings(plan: Plan, plugin: Plugin[Settings], *, connected: bool) -> Surroundings:
    """Show a plan to one of its plugins."""
    stages: list[Plugin[Settings]] = [*plan.chain, *plan.object_stages]
    place = stages.index(plugin) if plugin in stages else 0 if plugin is plan.source else len(stages)
    before, after = stages[:place], stages[place:]
    format_ = plan.format.name
    if plan.dead_letter and (plugin is plan.dead_letter.sink or plugin in plan.dead_letter.object_stages):
        own: list[Plugin[Settings]] = [*plan.dead_letter.object_stages]
        place = own.index(plugin) if plugin in own else len(own)
        before, after, format_ = [*plan.chain, *own[:place]], own[place:], "ndjson"
    return Surroundings(
        connected=connected,
        before=before,
        after=[stage for stage in after if stage is not plugin],
        format=format_,
        longest_hold=longest_hold(plan),
    )
