"""Dead letters in a queue, a message each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import anyio
import msgspec

from forkstream.dlq.claims import Claim, Claims
from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.object_store import readable
from forkstream.dlq.patiently import PATIENCE, patiently
from forkstream.dlq.selection import Selection
from forkstream.dlq.shelf import Shelf
from forkstream.dlq.standing import Mark
from forkstream.dlq.store import Store
from forkstream.errors import DeliveryError, TransientError
from forkstream.flow.custody import Custody, Held, Outcome
from forkstream.ports import Receipt
from forkstream.sources.sqs import SqsSource

HOLD = 120.0
"""Seconds for which a receive hides letters; extended at the half, so a crash hides nothing for longer."""
WAIT = 1.0
"""Seconds to wait for a letter: a long poll asks all of SQS's servers, and an empty answer then means an empty queue."""


class QueueStore(Store):
    """The letters that an SQS queue hands out. Whatever is found stays hidden from others until the store is closed.

    A letter is deleted once its redrive is noted; the rest is shown again. A queue has no place for claims, so they lie
    on a shelf elsewhere: they keep a letter from being sent twice by everybody who uses the same shelf. Between two who
    do not, there is only the queue's own visibility.
    """

    def __init__(self, source: SqsSource, shelf: Shelf, claims: Claims, name: str) -> None:
        super().__init__(name, claims)
        self._source = source
        self._shelf = shelf
        self._custody = Custody(source, HOLD, self._hold_failed)
        self._held: dict[str, Held] = {}  # by letter

    @property
    def unveils(self) -> bool:
        return self._source.ordered  # the next letters of a group come once those before them are gone

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Read the claims, keep what is found hidden meanwhile, and show the rest of it again at the end."""
        async for listed in self._shelf.listed():
            self.claims.learn(listed.key)
        await self._warn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._custody.run)
            try:
                yield self
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True), anyio.move_on_after(PATIENCE / 2):
                    await self._show_again([one.receipt for one in self._custody.undecided()])

    async def find(
        self,
        selection: Selection,
        *,
        newest_first: bool = False,  # noqa: ARG002  # a queue has no order to choose
    ) -> AsyncGenerator[Entry | Unreadable, None]:
        found: set[str] = set()
        while not selection.complete(found):
            answer = await patiently(lambda: self._source.receive(self._source.max_receive, hold=HOLD, wait=WAIT))
            if not answer:
                return
            for one in self._custody.take(answer, anyio.current_time()):
                letter = readable(one.event.body)
                if letter is None:
                    yield Unreadable(f"{self.name}, message {one.event.id}", "not_a_letter")
                elif selection.takes(letter) and letter.letter not in found:
                    found.add(letter.letter)
                    self._held[letter.letter] = one
                    yield Entry(letter, self.name, None, self.claims.standing(letter.letter))

    async def claim(self, entry: Entry) -> Claim | None:
        held = self._held[entry.letter.letter]
        if anyio.current_time() > held.receive.extend_at + HOLD / 4:
            return None  # its hold was to be extended and could not be: somebody else may have it soon
        return await self.claims.claim(entry.letter.letter, self._shelf.start)

    async def finish(self, entry: Entry, claim: Claim, mark: Mark, code: str = "") -> None:
        await self.claims.finish(claim, mark, code)
        if mark is not Mark.FAILED:
            await self.clear(entry)

    async def clear(self, entry: Entry) -> None:
        held = self._held[entry.letter.letter]
        held.outcome = Outcome.DONE
        await patiently(lambda: self._delete(held))
        self._custody.forget([held])

    async def _delete(self, held: Held) -> None:
        for refusal in await self._source.delete([held.receipt]):
            if not refusal.lost:
                raise TransientError(refusal.code)

    async def _show_again(self, receipts: Sequence[Receipt]) -> None:
        try:
            await patiently(lambda: self._custody.show_again(receipts, 0))
        except DeliveryError:
            self.notes.append(f"what was looked at stays hidden for up to {HOLD:.0f} s: it could not be shown again")

    async def _warn(self) -> None:
        self.notes.append(
            "a queue can only be sampled, and each look counts as a receive of every letter that it brings"
        )
        policy = await patiently(self._redrive_policy)
        if policy:
            self.notes.append(f"its own redrive policy moves a letter away after {policy.receives} receives")

    async def _redrive_policy(self) -> _RedrivePolicy | None:
        async with self._source.connect() as queue:
            text = (await queue.attributes("RedrivePolicy")).get("RedrivePolicy")
        return msgspec.json.decode(text, type=_RedrivePolicy, strict=False) if text else None

    def _hold_failed(self, error: DeliveryError) -> None:
        self.notes.append(f"letters could not be kept hidden for a while: {error.code}")


class _RedrivePolicy(msgspec.Struct, frozen=True, rename={"receives": "maxReceiveCount"}):
    receives: int
