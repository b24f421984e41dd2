"""What fits where: the problems of forks whose single settings are all in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from forkstream.config.draft import Draft, Part
from forkstream.config.problem import Problems
from forkstream.formats import FormatName
from forkstream.ports import EventSink, ObjectStage, Sink, Source

_DEFAULT_FORMAT: FormatName = "ndjson"


def check_fit(drafts: list[Draft], *, workers: int, problems: Problems) -> None:
    """Note everything that cannot stand where it stands, in each fork and between the forks."""
    for draft in drafts:
        for check in _CHECKS:
            for part, message in check(draft):
                problems.add(part.place, part.step.path, message)
        _unsanitised(draft, problems)
        for part in draft.parts:
            if workers > 1 and part.step.plugin.single_process:
                problems.add(part.place, part.step.path, f"runs in one process only, found {workers} workers")
    sources = [part for draft in drafts for part in draft.of("source")]
    for number, source in enumerate(sources):
        first = next((other for other in sources[:number] if _same_queue(other, source)), None)
        if first:
            message = f"receives from where {first.step.path} receives: each fork needs a queue of its own, since each event goes to one of them"
            problems.add(source.place, source.step.path, message)


def _stage_order(draft: Draft) -> Iterator[tuple[Part, str]]:
    """Event stages, then object stages."""
    first: Part | None = None
    for part in draft.of("stages"):
        if issubclass(part.step.plugin, ObjectStage):
            first = first or part
        elif first:
            yield (
                part,
                f"takes events, but {first.path} before it has made an object of them: it has to stand before that",
            )


def _event_sinks(draft: Draft) -> Iterator[tuple[Part, str]]:
    """An event sink gets events, so no object stage can stand before it."""
    for slot in ("", "dead_letter."):
        for sink in draft.of(f"{slot}sink"):
            if issubclass(sink.step.plugin, EventSink):
                for part in draft.of(f"{slot}stages"):
                    if issubclass(part.step.plugin, ObjectStage):
                        yield (
                            part,
                            f"works on objects, but the sink {sink.step.name} takes events: leave it out, or take a sink of objects",
                        )


def _format(draft: Draft) -> Iterator[tuple[Part, str]]:
    for sink in draft.of("sink"):
        if draft.settings and draft.settings.format != _DEFAULT_FORMAT and issubclass(sink.step.plugin, EventSink):
            yield sink, "takes events, not objects, so `format` means nothing here: leave it out"


def _compressed_first(draft: Draft) -> Iterator[tuple[Part, str]]:
    """Ciphertext does not shrink."""
    for slot in ("stages", "dead_letter.stages"):
        encrypts: Part | None = None
        for part in draft.of(slot):
            if encrypts and issubclass(part.step.plugin, ObjectStage) and part.step.plugin.compresses:
                yield part, f"stands after {encrypts.path}, but what is encrypted does not shrink: put it before that"
            encrypts = encrypts or (part if _encrypts(part) else None)


def _dead_stages(draft: Draft) -> Iterator[tuple[Part, str]]:
    for part in draft.of("dead_letter.stages"):
        if not issubclass(part.step.plugin, ObjectStage):
            yield part, "takes events: a dead letter keeps its event as it was, so only object stages can stand here"


def _order(draft: Draft) -> Iterator[tuple[Part, str]]:
    for source in draft.of("source"):
        for sink in draft.of("sink"):
            if (
                isinstance(source.plugin, Source)
                and isinstance(sink.plugin, Sink)
                and source.plugin.ordered
                and not sink.plugin.ordered
            ):
                yield (
                    sink,
                    f"does not keep an order, but the source {source.step.name} is ordered: take another sink or an unordered source",
                )


_CHECKS: tuple[Callable[[Draft], Iterator[tuple[Part, str]]], ...] = (
    _stage_order,
    _event_sinks,
    _format,
    _compressed_first,
    _dead_stages,
    _order,
)


def _unsanitised(draft: Draft, problems: Problems) -> None:
    """What failed to be sanitised may be stored only encrypted (contract 4)."""
    if draft.dead_letter is None:
        return
    settings, place = draft.dead_letter
    if settings.include_unsanitised and not any(_encrypts(part) for part in draft.of("dead_letter.stages")):
        path = f"{draft.path}.dead_letter.include_unsanitised"
        problems.add(place, path, "needs a stage that encrypts among dead_letter.stages, such as encrypt; found none")


def _encrypts(part: Part) -> bool:
    return issubclass(part.step.plugin, ObjectStage) and part.step.plugin.encrypts


def _same_queue(one: Part, other: Part) -> bool:
    """Whether two sources are one: by their ``identity`` if they have one, else by their settings and AWS's.

    A source without a required setting names nothing outside of itself that two forks could share.
    """
    if one.step.plugin is not other.step.plugin or not one.plugin or not other.plugin:
        return False
    mine, theirs = getattr(one.plugin, "identity", None), getattr(other.plugin, "identity", None)
    if mine is not None and theirs is not None:
        return bool(mine == theirs)
    if (one.step.settings, one.plugin.context.aws) != (other.step.settings, other.plugin.context.aws):
        return False
    return any(field.required for field in msgspec.structs.fields(one.step.plugin.settings_type()))
