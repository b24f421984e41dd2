"""A queue whose refusals a test chooses: for the failures that an embedded AWS cannot be brought to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

from forkstream.aws.queue import EntryFailure, OutgoingMessage, ReceivedMessage


class FakeQueue:
    """A QueueClient. Each batch takes the next of ``outcomes``: entries to refuse, or an error of the whole call; then none."""

    def __init__(
        self,
        *outcomes: Collection[EntryFailure] | Exception,
        messages: Sequence[Sequence[ReceivedMessage] | BaseException] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self.outcomes = list(outcomes)
        self.messages = list(messages)
        self.known = attributes or {}
        self.receives: list[dict[str, int | str | None]] = []
        self.batches: list[list[str]] = []
        self.seconds: list[int] = []
        self.sent: list[list[OutgoingMessage]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        yield self

    async def receive(
        self, limit: int, *, hold: int, wait: int, attempt: str | None = None
    ) -> Sequence[ReceivedMessage]:
        self.receives.append({"limit": limit, "hold": hold, "wait": wait, "attempt": attempt})
        answer = self.messages.pop(0) if self.messages else ()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def delete_batch(self, receipts: Sequence[str]) -> Collection[EntryFailure]:
        self.batches.append(list(receipts))
        return self._outcome()

    async def change_visibility_batch(self, receipts: Sequence[str], seconds: int) -> Collection[EntryFailure]:
        self.batches.append(list(receipts))
        self.seconds.append(seconds)
        return self._outcome()

    async def send_batch(self, messages: Sequence[OutgoingMessage]) -> Collection[EntryFailure]:
        self.sent.append(list(messages))
        return self._outcome()

    async def attributes(self, *names: str) -> Mapping[str, str]:
        return {name: self.known[name] for name in names if name in self.known}

    def _outcome(self) -> Collection[EntryFailure]:
        outcome = self.outcomes.pop(0) if self.outcomes else ()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
