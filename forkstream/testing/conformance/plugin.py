"""The rules that every plugin keeps, whatever its port."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Generic, TypeVar, get_args, get_type_hints

import msgspec
import pytest

from forkstream.errors import ConfigError, UnavailableError
from forkstream.event import Json
from forkstream.port_shape import misfits
from forkstream.ports import PORTS_VERSION, Advice, Load, Permission, Plugin, Surroundings
from forkstream.settings import Settings
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.name_of import name_of
from forkstream.testing.read_settings import read_settings
from forkstream.testing.rule import require, rule

P = TypeVar("P", bound=Plugin[Settings])


class PluginConformance(ABC, Generic[P]):
    """What all suites share. Derive from the suite of your port, say how your plugin is made, and pytest runs every rule::

        class TestWebhook(EventSinkConformance):
            def plugin(self) -> Webhook:
                return Webhook(WebhookConfig(url=self.url), Context(fork="test"))

    A suite is an ordinary test class: get servers and directories by an autouse fixture. What the suite cannot know it
    asks by methods; a rule that needs an answer which you have not given is skipped, and says which method to write.
    Answer ``None`` where there is no such thing: the rule is then kept without a trial.
    """

    turn_cpu: ClassVar[float] = 0.25
    """Seconds of CPU for which the plugin may keep the loop from all other forks at a time."""

    @abstractmethod
    def plugin(self) -> P:
        """Make the plugin, unopened. Every call makes another one that has the same destination within one test."""

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        """Settings, as a config file has them, that cannot work: by a value or by a combination. Each must be refused."""
        return ()

    def unreachable(self) -> P | None:
        """Make the plugin with a destination that does not answer for now, such as a port on which nobody listens."""
        pytest.skip("not tried: write unreachable(), or let it return None if there is nothing to reach")

    def unusable(self) -> P | None:
        """Make the plugin with a destination that somebody has to mend: a missing bucket, a wrong password."""
        pytest.skip("not tried: write unusable(), or let it return None if there is nothing to mend")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[P]:
        """Open what ``plugin()`` makes, for the block."""
        plugin = self.plugin()
        async with plugin:
            yield plugin

    # the rules

    def test_it_is_made_for_this_version_of_the_ports(self) -> None:
        """``ports_version`` is inherited; a plugin that sets its own is refused by every other version."""
        found = self.plugin().ports_version
        require(found == PORTS_VERSION, f"made for version {found} of the ports, this is version {PORTS_VERSION}")

    def test_its_methods_are_as_its_port_calls_them(self) -> None:
        """``async def`` where the port says so, a plain ``def`` elsewhere, with its parameters; settings from ``Settings``."""
        require(not (wrong := misfits(type(self.plugin()))), "; ".join(wrong))

    def test_its_settings_refuse_a_field_that_they_do_not_know(self) -> None:
        """A misspelt field must stop the start: derive from ``Settings``, which sees to it."""
        kind = self.plugin().settings_type()
        require(issubclass(kind, Settings), "the settings are not derived from Settings")
        require(kind.__struct_config__.forbid_unknown_fields, "settings take a field that they do not know")
        try:
            read_settings(kind, {"no_such_field": 1})
        except ConfigError as error:
            require("no_such_field" in str(error), f"a misspelt field is refused for another reason: {error}")

    def test_its_settings_say_what_each_field_is_for(self) -> None:
        """``Annotated[str, Meta(description="…")]``: it is all that an operator sees. Nested settings speak for themselves."""
        hints = get_type_hints(self.plugin().settings_type(), include_extras=True)
        silent = [name for name, hint in hints.items() if not (_described(hint) or _nested(hint))]
        require(not silent, f"no description of {', '.join(silent)}: Annotated[…, Meta(description=…)] is due")

    def test_wrong_settings_are_refused_with_a_reason(self) -> None:
        """By the declaration of the field, or by a ValueError of the constructor: both are shown as config errors."""
        plugin = self.plugin()
        for wrong in self.wrong_settings():
            try:
                type(plugin)(read_settings(plugin.settings_type(), wrong), plugin.context)
            except (ConfigError, ValueError) as error:
                require(str(error), f"{wrong} is refused without a reason")
            except Exception as error:  # noqa: BLE001  # whatever else it is, it is not shown as a config error
                require(None, f"{wrong} raises {type(error).__name__} where a ValueError is due")
            else:
                require(None, f"{wrong} is taken")

    def test_its_constructor_does_no_io(self) -> None:
        """A config is checked without a network: what has to be read or asked is read and asked in ``__aenter__``."""
        self.plugin()  # what is imported at the first use does not count
        with blocking_calls() as found:
            self.plugin()
        require(not found, f"the constructor calls {'; '.join(found)}: that belongs into __aenter__")

    @rule
    async def test_what_it_says_of_itself_asks_nobody(self) -> None:
        """``permissions`` and ``billed`` are pure, and so is ``advise`` before anything is connected: the plugin is not open."""
        plugin, alone = self.plugin(), Surroundings(connected=False)
        await _said(plugin, alone)  # what is imported at the first use does not count
        with blocking_calls() as found:
            permissions, billed, advice = await _said(plugin, alone)
        require(not found, f"what it says of itself calls {'; '.join(found)}")
        require(all(isinstance(one, Permission) for one in permissions), "permissions are due")
        require(all(isinstance(one, Advice) for one in advice), "advice is due")
        require(all(units >= 0 for units in billed.values()), "it is billed for less than nothing")

    @rule
    async def test_it_opens_checks_and_closes(self) -> None:
        """``check`` passes on a destination that works, and can be asked again."""
        plugin = self.plugin()
        async with plugin as entered:
            require(entered is plugin, f"__aenter__ returns {type(entered).__name__}: it ends with `return self`")
            await plugin.check()
            await plugin.check()

    @rule
    async def test_closing_leaves_nothing_running(self) -> None:
        """What ``__aenter__`` started has ended when ``__aexit__`` returns."""
        before = asyncio.all_tasks()
        async with self.opened() as plugin:
            await plugin.check()
        left = asyncio.all_tasks() - before
        require(not left, f"tasks are left: {', '.join(map(str, left))}")

    @rule
    async def test_closing_after_an_error_does_not_hide_it(self) -> None:
        """``__aexit__`` is told of the error and lets it pass: a swallowed one would look like an orderly end."""
        error = RuntimeError("something else went wrong")
        plugin = self.plugin()
        await plugin.__aenter__()
        hidden = await plugin.__aexit__(type(error), error, None)  # type: ignore[func-returns-value]  # that is the trial
        require(not hidden, "__aexit__ returns true, which swallows the error")
        async with self.opened() as another:  # nothing of the first stands in its way
            await another.check()

    @rule
    async def test_check_tells_an_unusable_destination(self) -> None:
        """``check`` raises UnavailableError whose ``detail`` names what is missing: it is what the operator reads."""
        plugin = self.unusable()
        if plugin is None:
            return
        try:
            async with plugin:
                await plugin.check()
        except UnavailableError as error:
            require(error.detail, f"UnavailableError({error.code!r}) without a detail that says what to mend")
        except Exception as error:  # noqa: BLE001  # any other kind is the finding
            require(None, f"check raises {name_of(error)} where UnavailableError is due")
        else:
            require(None, "check passes, though nothing can be done there: UnavailableError is due")


async def _said(
    plugin: Plugin[Settings], alone: Surroundings
) -> tuple[Sequence[Permission], Mapping[str, float], Sequence[Advice]]:
    load = Load(events=100, event_bytes=1000, batches=1)
    return list(plugin.permissions()), plugin.billed(load), list(await plugin.advise(alone))


def _described(hint: object) -> bool:
    parts = get_args(hint)
    return any((isinstance(part, msgspec.Meta) and part.description) or _described(part) for part in parts)


def _nested(hint: object) -> bool:
    types = [hint, *get_args(hint)]
    return any(isinstance(one, type) and issubclass(one, Settings) for one in types)
