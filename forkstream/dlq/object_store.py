"""Dead letters in objects, many to an object, one a line."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
from anyio.to_thread import run_sync

from forkstream.aws.concurrently import concurrently
from forkstream.aws.data_keys import FORK_ENTRY, DataKeys, WrappedKey
from forkstream.aws.encrypted_message import SUFFIX, decrypt
from forkstream.dlq.claims import Claim, Claims
from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.letter_id import is_letter_id
from forkstream.dlq.patiently import patiently
from forkstream.dlq.selection import Selection
from forkstream.dlq.shelf import Listed, Shelf
from forkstream.dlq.standing import Mark
from forkstream.dlq.store import Store
from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.letters import Letter
from forkstream.reading import open_object

_OBJECT = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.ndjson(\.\w+)*")
"""How an object's name ends that the runtime has written: a ULID, and what format and object stages append."""
_MARKERS = ".redrive/"
"""What a dead-letter object's key is followed by in the keys of its letters' markers."""
_AT_ONCE = 16


class ObjectStore(Store):
    """The objects of a shelf. Nothing is ever changed or deleted: a redrive adds markers beside an object.

    ``keys`` open what was encrypted. Objects of other forks on the same shelf are left out.
    """

    def __init__(self, shelf: Shelf, claims: Claims, keys: Sequence[DataKeys] = ()) -> None:
        super().__init__(shelf.name, claims)
        self._shelf = shelf
        self._keys = keys

    async def find(
        self, selection: Selection, *, newest_first: bool = False
    ) -> AsyncGenerator[Entry | Unreadable, None]:
        objects = [listed async for listed in self._objects() if listed.stored_at >= selection.stored_since]
        objects.sort(key=lambda listed: (listed.stored_at, listed.key), reverse=newest_first)
        seen: set[str] = set()
        for start in range(0, len(objects), _AT_ONCE):
            some = objects[start : start + _AT_ONCE]
            contents = await concurrently(lambda listed: self._read(listed, selection.fork), some, at_once=_AT_ONCE)
            for listed, content in zip(some, contents, strict=True):
                for found in _found(listed, content):
                    if isinstance(found, Unreadable):
                        yield found
                    elif selection.takes(found) and found.letter not in seen:
                        seen.add(found.letter)
                        yield Entry(found, listed.key, listed.stored_at, self.claims.standing(found.letter))
            if selection.complete(seen):
                return

    async def claim(self, entry: Entry) -> Claim | None:
        return await self.claims.claim(entry.letter.letter, entry.place + _MARKERS)

    async def finish(self, entry: Entry, claim: Claim, mark: Mark, code: str = "") -> None:  # noqa: ARG002  # its place is in the claim
        await self.claims.finish(claim, mark, code)

    async def clear(self, entry: Entry) -> None:
        """Objects stay."""

    async def _objects(self) -> AsyncIterator[Listed]:
        """List dead-letter objects, and learn from the markers among them how letters stand."""
        async for listed in self._shelf.listed():
            if _MARKERS in listed.key:
                self.claims.learn(listed.key)
            elif _OBJECT.search(listed.key.rpartition("/")[2]):
                yield listed

    async def _read(self, listed: Listed, fork: str) -> list[Letter | Unreadable]:
        data = await patiently(lambda: self._shelf.get(listed.key))
        if listed.key.endswith(SUFFIX) and await run_sync(_fork_of, data) not in (None, fork):
            return []  # nor may this fork have a key for it
        name, content = await patiently(lambda: open_object(listed.key, data, self._keys))
        if not name.endswith(".ndjson"):
            raise PermanentError("unknown_suffix")
        return await run_sync(lambda: list(_letters(listed.key, content)))


def _found(listed: Listed, content: list[Letter | Unreadable] | DeliveryError) -> list[Letter | Unreadable]:
    if isinstance(content, DeliveryError):
        # what is unavailable names a permission, a key or a place, and nothing of an event
        return [Unreadable(listed.key, content.code, content.detail if isinstance(content, UnavailableError) else "")]
    return content


def _letters(key: str, content: bytes) -> Iterator[Letter | Unreadable]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line:
            letter = readable(line)
            yield letter or Unreadable(f"{key}, line {number}", "not_a_letter")


def readable(line: bytes) -> Letter | None:
    """Read one letter; None if it is none, or its event could not be restored."""
    try:
        letter = Letter.decode(line)
        letter.to_event()
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    return letter if is_letter_id(letter.letter) else None


def _fork_of(message: bytes) -> str | None:
    """Tell which fork has encrypted this. It stands in the message's header, for which no key is needed."""

    def look(_wrapped: Sequence[WrappedKey], context: Mapping[str, str]) -> bytes:
        raise _LookedError(context)

    with suppress(DeliveryError):  # whoever decrypts it will say what is wrong
        try:
            decrypt(message, look)
        except _LookedError as looked:
            return looked.context.get(FORK_ENTRY)
    return None


class _LookedError(Exception):
    """A message's encryption context was all that was wanted of it."""

    def __init__(self, context: Mapping[str, str]) -> None:
        super().__init__()
        self.context = context
