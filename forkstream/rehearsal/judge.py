"""The judge of a case: what came out of a rehearsal against what had to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from forkstream.aws.data_keys import DataKeys
from forkstream.errors import CommandError, DeliveryError
from forkstream.event import Event
from forkstream.fields.paths import Key
from forkstream.fields.paths import Path as FieldPath
from forkstream.letters import Letter
from forkstream.reading import open_object, read_object
from forkstream.rehearsal.cases import Case, DeadLetter, Document, Kept, Object, json_of
from forkstream.rehearsal.difference import NOTHING, Difference, compare, count, shown, values_at
from forkstream.rehearsal.report import Failed, Report, Stored


class Judge:
    """Compares one case with its report. ``directory`` is where its files lie, ``keys`` open what was encrypted.

    ``buries`` says whether the fork has a place for dead letters: without one, what is dead stays with its source.
    """

    def __init__(
        self,
        case: Case,
        events: Sequence[Event],
        report: Report,
        *,
        directory: Path,
        keys: Sequence[DataKeys],
        buries: bool,
    ) -> None:
        self._case = case
        self._events = events
        self._report = report
        self._directory = directory
        self._keys = keys
        self._buries = buries

    async def differences(self) -> list[Difference]:
        """Find every difference, in the order of the case's own parts."""
        found = [
            *self._documents(),
            *await self._objects(),
            *self._dropped(),
            *await self._dead_letters(),
            *self._kept(),
        ]
        return list(dict.fromkeys(found))

    def _documents(self) -> Iterator[Difference]:
        written = sorted(self._report.written, key=lambda one: one.number)
        yield from count("documents", self._case.documents, written)
        for number, (due, one) in enumerate(zip_longest(self._case.documents, written)):
            where = f"documents[{number}]"
            if one is None:
                yield Difference(where, _said(due), NOTHING)
            elif due is None:
                yield Difference(where, NOTHING, f"event {one.number}: {shown(json_of(one.event.body))}")
            else:
                yield from self._place(where, due, one.number, one.partition, one.event)
                yield from self._content(where, due, one.event.body)

    def _place(self, where: str, due: Document, number: int, partition: str, event: Event) -> Iterator[Difference]:
        target = event.target
        there = {"event": number, "partition": partition} | (msgspec.structs.asdict(target) if target else {})
        for name in ("event", "partition", "index", "id", "version", "routing"):
            expected = getattr(due, name)
            if expected is not None:
                yield from compare(f"{where}.{name}", expected, there.get(name))

    def _content(self, where: str, due: Document, body: bytes) -> Iterator[Difference]:
        """Compare a body with all of what is said of it: as JSON, or to the byte where text or bytes are given."""
        expected = due.read(self._directory)
        if expected is not None and (isinstance(due.body, str) or isinstance(due.base64, bytes)):
            if expected != body:
                yield Difference(f"{where}.body", repr(expected)[1:], repr(body)[1:])
            return
        data = json_of(body)
        if expected is not None:
            yield from compare(f"{where}.data", json_of(expected), data)
        if due.has is not msgspec.UNSET:
            yield from compare(f"{where}.data", due.has, data, whole=False)
        for path in due.lacks:
            for place, value in values_at(data, FieldPath.parse(path).steps):
                yield Difference(f"{where}.data{place}", NOTHING, shown(value))

    async def _objects(self) -> list[Difference]:
        differences = list(count("objects", self._case.objects, self._report.objects))
        left = list(self._report.objects)
        for number, due in enumerate(self._case.objects):
            where = f"objects[{number}]"
            fitting = next((one for one in left if Key.glob(due.key).matches(one.key)), None)
            if fitting is None:
                there = ", ".join(one.key for one in left) or NOTHING
                differences.append(Difference(f"{where}.key", due.key, there))
                continue
            left.remove(fitting)
            differences += await self._object(where, due, fitting)
        differences += [Difference("objects", NOTHING, one.key) for one in left]
        return differences

    async def _object(self, where: str, due: Object, stored: Stored) -> list[Difference]:
        try:
            events = await read_object(stored.key, stored.payload.data, self._keys)
        except DeliveryError as error:
            return [Difference(where, "an object that can be read back", f"{error.code}: {error.detail}")]
        differences = list(count(f"{where}.documents", due.documents, events))
        for number, (one, event) in enumerate(zip(due.documents, events, strict=False)):
            differences += self._content(f"{where}.documents[{number}]", one, event.body)
        return differences

    def _dropped(self) -> Iterator[Difference]:
        found: dict[str, list[int]] = {}
        for one in self._report.dropped:
            found.setdefault(one.reason, []).append(one.number)
        yield from compare(
            "dropped", {reason: sorted(numbers) for reason, numbers in self._case.dropped.items()}, found
        )

    async def _dead_letters(self) -> list[Difference]:
        dead = self._report.dead if self._buries else []
        differences = list(count("dead_letters", self._case.dead_letters, dead))
        letters = await self._letters()
        for number, (due, one) in enumerate(zip_longest(self._case.dead_letters, dead)):
            where = f"dead_letters[{number}]"
            if one is None:
                differences.append(Difference(where, f"code {due.code}", NOTHING))
            elif due is None:
                differences.append(Difference(where, NOTHING, _failure(one)))
            else:
                differences += _same_failure(where, due, one)
                letter = letters[self._events[one.number - 1].id].pop(0)
                differences += self._content(where, due, letter.to_event().body)
        return differences

    async def _letters(self) -> dict[str, list[Letter]]:
        """Read the letters back, as a redrive would, by the event's id."""
        lines = [one.event.body for one in self._report.letters]
        for stored in self._report.letter_objects:
            try:
                _, content = await open_object(stored.key, stored.payload.data, self._keys)
            except DeliveryError as error:
                raise CommandError(
                    f"dead letter {stored.key} cannot be read back: {error.code} ({error.detail})"
                ) from None
            lines += content.splitlines()
        letters: dict[str, list[Letter]] = {}
        for letter in map(Letter.decode, lines):
            letters.setdefault(letter.id, []).append(letter)
        return letters

    def _kept(self) -> Iterator[Difference]:
        kept = self._report.kept + ([] if self._buries else self._report.dead)
        kept.sort(key=lambda one: one.number)
        yield from count("kept", self._case.kept, kept)
        for number, (due, one) in enumerate(zip_longest(self._case.kept, kept)):
            where = f"kept[{number}]"
            if one is None:
                yield Difference(where, f"event {due.event}: {due.code}", NOTHING)
            elif due is None:
                yield Difference(where, NOTHING, _failure(one))
            else:
                yield from _same_failure(where, due, one)


def _same_failure(where: str, due: DeadLetter | Kept, one: Failed) -> Iterator[Difference]:
    there = {"event": one.number, "code": one.code, "step": one.step}
    for name, found in there.items():
        expected = getattr(due, name)
        if expected is not None and expected != found:
            detail = f" ({one.detail})" if name == "code" and one.detail else ""
            yield Difference(f"{where}.{name}", str(expected), f"{found}{detail}")


def _failure(one: Failed) -> str:
    return f"event {one.number}: {one.code} at {one.step}{f' ({one.detail})' if one.detail else ''}"


def _said(due: Document) -> str:
    """Show what is said of a document that never came."""
    said = msgspec.to_builtins(due)
    return shown({name: value for name, value in said.items() if value not in (None, [])})
