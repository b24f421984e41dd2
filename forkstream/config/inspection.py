"""What a config's plugins say before they run: whether they could work now, and what will hurt."""

from __future__ import annotations

from collections.abc import Collection

import anyio
import msgspec

from forkstream.config.limits_advice import Site
from forkstream.config.loading import Config
from forkstream.config.plan import Plan
from forkstream.config.problem import masked
from forkstream.config.warning import ConfigWarning, surroundings, warnings_on_limits
from forkstream.errors import DeliveryError
from forkstream.ports import UNANSWERED, Advice, Plugin
from forkstream.settings import Settings

ANSWER_SECONDS = 30.0
"""How long one plugin may take to open, and to ask what it needs."""


class Finding(msgspec.Struct, frozen=True):
    """What keeps a plugin from working now."""

    fork: str
    step: str
    code: str
    detail: str


class Inspection:
    """Asks every plugin, with ``connect`` also the outside world: what it finds is here when ``run`` has ended."""

    def __init__(self, config: Config, *, site: Site, connect: bool) -> None:
        self._config = config
        self._connect = connect
        self._order = [plan.name for plan in config.plans]
        self._warnings = list(warnings_on_limits(config, site))
        self._findings: list[Finding] = []

    @property
    def findings(self) -> list[Finding]:
        """What cannot work now, by fork and in the order of its steps."""
        return sorted(self._findings, key=lambda finding: self._order.index(finding.fork))

    @property
    def warnings(self) -> list[ConfigWarning]:
        """What will hurt, by its place in the file."""
        return [each for each in self._sorted() if each.code != UNANSWERED]

    @property
    def unanswered(self) -> list[ConfigWarning]:
        """What could not be looked at, by its place in the file."""
        return [each for each in self._sorted() if each.code == UNANSWERED]

    async def run(self) -> None:
        """Ask all forks at once, and the plugins of each one after the other."""
        async with anyio.create_task_group() as tasks:
            for plan in self._config.plans:
                tasks.start_soon(self._ask_fork, plan)

    def _sorted(self) -> list[ConfigWarning]:
        return sorted(dict.fromkeys(self._warnings), key=lambda each: (each.place, each.path, each.code, each.found))

    async def _ask_fork(self, plan: Plan) -> None:
        for step, plugin in plan.steps:
            advice: Collection[Advice] = ()
            try:
                with anyio.fail_after(ANSWER_SECONDS):
                    advice = await self._ask(plan, step, plugin)
            except DeliveryError as error:
                self._found(plan, step, error.code, error.detail)
            except TimeoutError:
                self._found(plan, step, "no_answer", f"no answer within {ANSWER_SECONDS:g} s")
            except Exception as error:  # noqa: BLE001  # a stranger's plugin may raise anything; the others must still be asked
                self._found(plan, step, "unexpected", f"{type(error).__name__}: {error}")
            self._warnings += [ConfigWarning.of(self._config, plan, each, step=step) for each in advice]

    async def _ask(self, plan: Plan, step: str, plugin: Plugin[Settings]) -> Collection[Advice]:
        """Open, ask, close; raises what is wrong. What can be told without asking anyone is told all the same."""
        if self._connect:
            try:
                async with plugin:
                    await plugin.check()
                    return await self._advice(plan, plugin, connected=True)
            except DeliveryError as error:
                self._found(plan, step, error.code, error.detail)
        return await self._advice(plan, plugin, connected=False)

    async def _advice(self, plan: Plan, plugin: Plugin[Settings], *, connected: bool) -> Collection[Advice]:
        try:
            return await plugin.advise(surroundings(plan, plugin, connected=connected))
        except DeliveryError as error:
            return [Advice.unanswered("what it would advise", f"{error.code} ({error.detail})")]

    def _found(self, plan: Plan, step: str, code: str, detail: str) -> None:
        self._findings.append(Finding(plan.name, step, code, masked(detail, self._config.secrets)))
