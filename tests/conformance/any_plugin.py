"""One sink for each rule that every plugin keeps, whatever its port, which breaks just that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from forkstream.errors import TransientError
from forkstream.ports import Context, EventSink, Permission
from tests.conformance.event_sinks import Shelf, ShelfConfig


class OtherPorts(Shelf):
    ports_version = 0


class PlainCheck(Shelf):
    def check(self) -> object:  # type: ignore[override]  # that is what is bad
        return super().check()


class LooseConfig(ShelfConfig, forbid_unknown_fields=False):
    pass


class LooseSettings(Shelf):
    @classmethod
    def settings_type(cls) -> type[Any]:
        return LooseConfig


class SilentConfig(ShelfConfig):
    colour: str = "brown"


class SilentSettings(Shelf):
    @classmethod
    def settings_type(cls) -> type[Any]:
        return SilentConfig


class TakesWrongSettings(Shelf):
    def __init__(self, config: ShelfConfig, context: Context) -> None:
        EventSink.__init__(self, config, context)


class IoInConstructor(Shelf):
    def __init__(self, config: ShelfConfig, context: Context) -> None:
        super().__init__(config, context)
        Path(__file__).read_bytes()


class CannotCheckTwice(Shelf):
    checks = 0

    async def check(self) -> None:
        await super().check()
        self.checks += 1
        if self.checks > 1:
            raise TransientError("busy")


class GivesNothing(Shelf):
    async def __aenter__(self) -> Self:
        return cast("Self", None)


class LeavesTask(Shelf):
    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(asyncio.sleep(60))
        return self


class HidesErrors(Shelf):
    async def __aexit__(  # type: ignore[override]  # that is what is bad
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return isinstance(exc, RuntimeError)


class ChecksNothing(Shelf):
    async def check(self) -> None:
        pass


class AsksWhatItMayDo(Shelf):
    def permissions(self) -> Iterator[Permission]:
        yield Permission(actions=(Path(__file__).read_text()[:3],))


BROKEN: dict[type[Shelf], str] = {
    OtherPorts: "test_it_is_made_for_this_version_of_the_ports",
    PlainCheck: "test_its_methods_are_as_its_port_calls_them",
    LooseSettings: "test_its_settings_refuse_a_field_that_they_do_not_know",
    SilentSettings: "test_its_settings_say_what_each_field_is_for",
    TakesWrongSettings: "test_wrong_settings_are_refused_with_a_reason",
    IoInConstructor: "test_its_constructor_does_no_io",
    CannotCheckTwice: "test_it_opens_checks_and_closes",
    GivesNothing: "test_it_opens_checks_and_closes",
    LeavesTask: "test_closing_leaves_nothing_running",
    HidesErrors: "test_closing_after_an_error_does_not_hide_it",
    ChecksNothing: "test_check_tells_an_unusable_destination",
    AsksWhatItMayDo: "test_what_it_says_of_itself_asks_nobody",
}
