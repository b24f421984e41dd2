"""What a config's plugins say before they run: whether they could work now, and what will hurt."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import msgspec

from forkstream.config.limits_advice import Site
from forkstream.config.loading import Config
from forkstream.config.plan import Plan
from forkstream.config.problem import masked
from forkstream.config.remedy import remedy
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
    do: str
    """What to do about it; empty where only the detail can tell."""


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
        """The file from top to bottom, then the environment."""
        return sorted(
            dict.fromkeys(self._warnings),
            key=lambda each: (each.place.file.startswith("$"), each.place, each.path, each.code, each.found),
        )

    async def _ask_fork(self, plan: Plan) -> None:
        for step, plugin in plan.steps:
            usable = False
            try:
                async with AsyncExitStack() as stack:
                    if self._connect:
                        with anyio.fail_after(ANSWER_SECONDS):
                            await stack.enter_async_context(plugin)
                            await plugin.check()
                        usable = True
                        await self._advise(plan, step, plugin, connected=True)
            except Exception as error:  # noqa: BLE001  # a stranger's plugin may raise anything; the others must still be asked
                code, detail = (masked(text, self._config.secrets) for text in _told(error))
                self._findings.append(Finding(plan.name, step, code, detail, remedy(code)))
            if not usable:  # what can be told without asking anyone is told all the same
                await self._advise(plan, step, plugin, connected=False)

    async def _advise(self, plan: Plan, step: str, plugin: Plugin[Settings], *, connected: bool) -> None:
        """Ask a plugin for its advice; no answer to that is nothing that would keep it from working."""
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                advice = await plugin.advise(surroundings(plan, plugin, connected=connected))
        except Exception as error:  # noqa: BLE001  # as above
            code, detail = _told(error)
            advice = [Advice.unanswered("what it would advise", f"{code} ({detail})")]
        self._warnings += [ConfigWarning.of(self._config, plan, each, step=step) for each in advice]


def _told(error: Exception) -> tuple[str, str]:
    """A stable code, and what happened."""
    match error:
        case DeliveryError():
            return error.code, error.detail
        case TimeoutError():
            return "no_answer", f"no answer within {ANSWER_SECONDS:g} s"
        case _:
            return "unexpected", f"{type(error).__name__}: {error}"
