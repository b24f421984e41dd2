"""A fork's plugins as far as they could be read and built: what the checks of what fits where look at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forkstream.config.model import DeadLetterSettings, ForkSettings, FormatChoice, Step
from forkstream.config.plan import DeadLetterPlan, Plan
from forkstream.config.problem import Place, Problems
from forkstream.config.reader import Reader
from forkstream.ports import (
    AsyncStage,
    Context,
    EventSink,
    EventStage,
    ObjectSink,
    ObjectStage,
    Plugin,
    Source,
    Switches,
)
from forkstream.raised_at import raised_at
from forkstream.settings import AwsSettings, Settings

_STEP = re.compile(r"(?P<slot>source|stages\[\d+\]|sink|dead_letter\.stages\[\d+\]|dead_letter\.sink)\.(?P<name>.+)")

_HALF_MADE = "is only half made: its __init__ has to call super().__init__(config, context)"


class Part:
    """One step of a draft: its plugin's class, and the plugin itself where its settings allowed to build it."""

    def __init__(self, step: Step, place: Place, path: str) -> None:
        self.step = step
        self.place = place
        self.path = path
        """Where it stands within its fork: ``stages[0].sanitize``."""
        self.slot = path.removesuffix(f".{step.name}").split("[")[0]
        self.plugin: Plugin[Settings] | None = None

    def build(self, context: Context, problems: Problems) -> None:
        """Make the plugin; what its constructor refuses is a problem of the config."""
        if self.step.settings is None:
            return
        own = getattr(self.step.settings, "aws", None)
        aws = own.over(context.aws) if isinstance(own, AwsSettings) else context.aws
        context = Context(fork=context.fork, run=context.run, aws=aws, switches=context.switches)
        try:
            plugin = self.step.plugin(self.step.settings, context)
        except ValueError as error:
            problems.add(self.place, self.step.path, str(error))
        except Exception as error:  # noqa: BLE001  # a stranger's plugin may raise anything; the other problems must still be shown
            problems.add(self.place, self.step.path, _cannot_be_made(error))
        else:
            if not (hasattr(plugin, "config") and hasattr(plugin, "context")):
                problems.add(self.place, self.step.path, _HALF_MADE)
                return
            self.plugin = plugin


class Draft:
    """One fork on the way to its :class:`Plan`, whether or not everything in it could be read."""

    def __init__(self, name: str, reader: Reader) -> None:
        self.name = name
        self.path = f"forks.{name}"
        self._reader = reader
        self.parts = list(self._parts())

    def _parts(self) -> Iterator[Part]:
        """In the order in which an event meets them."""
        order = ("source", "stages", "sink", "dead_letter.stages", "dead_letter.sink")
        parts = [
            Part(value, place, path.removeprefix(f"{self.path}."))
            for path, (value, place) in self._reader.seen.items()
            if isinstance(value, Step) and path.startswith(f"{self.path}.")
        ]
        return iter(sorted(parts, key=lambda part: order.index(part.slot)))

    @property
    def settings(self) -> ForkSettings | None:
        """The fork's settings, if they could be read whole."""
        value, _ = self._reader.seen.get(self.path, (None, None))
        return value if isinstance(value, ForkSettings) else None

    @property
    def dead_letter(self) -> tuple[DeadLetterSettings, Place] | None:
        """The settings of its dead letters, and where they stand, if there are any and they could be read whole."""
        value, place = self._reader.seen.get(f"{self.path}.dead_letter", (None, Place("")))
        return (value, place) if isinstance(value, DeadLetterSettings) else None

    def of(self, slot: str) -> list[Part]:
        """The parts that stand in a slot: ``source``, ``stages``, ``sink``, ``dead_letter.stages``, ``dead_letter.sink``."""
        return [part for part in self.parts if part.slot == slot]

    def build(self, *, run: str, switches: Switches, problems: Problems) -> None:
        """Make every plugin whose settings could be read."""
        context = Context(fork=self.name, run=run, aws=self._aws(self.path).over(self._aws("")), switches=switches)
        for part in self.parts:
            part.build(context, problems)

    def plan(self, settings: ForkSettings) -> Plan:
        """Put together what was built. Only for a draft without a problem."""
        stages = [part.plugin for part in self.of("stages")]
        dead = settings.dead_letter
        return Plan(
            name=self.name,
            settings=settings,
            source=next(part.plugin for part in self.of("source") if isinstance(part.plugin, Source)),
            chain=[stage for stage in stages if isinstance(stage, EventStage | AsyncStage)],
            format=FormatChoice.of(settings.format),
            object_stages=[stage for stage in stages if isinstance(stage, ObjectStage)],
            sink=self._sink("sink"),
            dead_letter=None
            if dead is None
            else DeadLetterPlan(
                object_stages=[
                    part.plugin for part in self.of("dead_letter.stages") if isinstance(part.plugin, ObjectStage)
                ],
                sink=self._sink("dead_letter.sink"),
                max_ratio=dead.max_ratio,
                include_unsanitised=dead.include_unsanitised,
            ),
            steps=[(part.path, part.plugin) for part in self.parts if part.plugin],
        )

    def _sink(self, slot: str) -> EventSink[Settings] | ObjectSink[Settings]:
        return next(part.plugin for part in self.of(slot) if isinstance(part.plugin, EventSink | ObjectSink))

    def _aws(self, path: str) -> AwsSettings:
        value, _ = self._reader.seen.get(f"{path}.aws".lstrip("."), (None, None))
        return value if isinstance(value, AwsSettings) else AwsSettings()


def _cannot_be_made(error: Exception) -> str:
    """Say what a constructor raised, where, and what a constructor is for."""
    place = raised_at(error)
    told = f"cannot be made: {type(error).__name__}: {error}{f' ({place})' if place else ''}"
    if isinstance(error, OSError):
        return f"{told}: __init__ does no I/O, so connect and read in __aenter__"
    if isinstance(error, TypeError) and not place:  # it could not even be called
        return f"{told}: __init__ is called with (config, context)"
    return f"{told}: __init__ raises ValueError for settings that cannot work, and nothing else"
