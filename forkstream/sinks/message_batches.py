"""Messages sent in batches of AWS's size, each event answered for by itself, in order where an order is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import msgspec

from forkstream.aws.concurrently import concurrently
from forkstream.aws.errors import classify_entry
from forkstream.aws.queue import EntryFailure, OutgoingMessage
from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.event import Event, Failure

_CALLS_AT_ONCE = 16


class _Batch(msgspec.Struct, frozen=True):
    """One request: events, and the message of each at the same place."""

    events: list[Event]
    messages: list[OutgoingMessage]

    def halves(self) -> tuple[_Batch, _Batch]:
        half = len(self.events) // 2
        return _Batch(self.events[:half], self.messages[:half]), _Batch(self.events[half:], self.messages[half:])


class MessageBatches:
    """Sends events through a batch call that names the entries that failed.

    ``make`` gives an event's message and its size, or raises PermanentError; ``send`` takes at most ``max_entries`` of
    at most ``max_bytes`` together; ``action`` is what stands in an UnavailableError.
    """

    def __init__(
        self,
        *,
        make: Callable[[Event], tuple[OutgoingMessage, int]],
        send: Callable[[Sequence[OutgoingMessage]], Awaitable[Collection[EntryFailure]]],
        max_entries: int,
        max_bytes: int,
        action: str,
    ) -> None:
        self._make = make
        self._send_messages = send
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._action = action

    async def write(self, events: Sequence[Event]) -> list[Failure]:
        """Send in any order; gives the failures, or raises where nothing went through."""
        return _answered(events, *await self._send(events))

    async def write_in_order(self, events: Sequence[Event], group_of: Callable[[Event], str]) -> list[Failure]:
        """Send round by round the first waiting event of every group; once one failed, no later one of its group goes.

        Entries of one request succeed or fail one by one, so two of a group in one request could change places.
        """
        waiting: dict[str, deque[Event]] = {}
        for event in events:
            waiting.setdefault(group_of(event), deque()).append(event)
        failures: list[Failure] = []
        errors: list[DeliveryError] = []
        while waiting:
            round_failures, round_errors = await self._send([group[0] for group in waiting.values()])
            failures += round_failures
            errors += round_errors
            failed = {failure.event for failure in round_failures}
            for name, group in list(waiting.items()):
                if group.popleft() in failed:
                    failures += [Failure.transient(event, "behind") for event in group]
                    del waiting[name]
                elif not group:
                    del waiting[name]
        return _answered(events, failures, errors)

    async def _send(self, events: Sequence[Event]) -> tuple[list[Failure], list[DeliveryError]]:
        """Send in full batches, several at once; give the failed events, and the errors of calls that failed as a whole."""
        failures: list[Failure] = []
        errors: list[DeliveryError] = []
        batches = self._batches(events, failures)
        outcomes = await concurrently(self._send_batch, batches, at_once=_CALLS_AT_ONCE)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, DeliveryError):
                errors.append(outcome)
                failures += [Failure.transient(event, outcome.code, outcome.detail) for event in batch.events]
            else:
                failures += outcome
        return failures, errors

    async def _send_batch(self, batch: _Batch) -> list[Failure]:
        """Send one request. One that is refused for its content is halved until single messages stand accused."""
        try:
            refused = await self._send_messages(batch.messages)
        except PermanentError as error:
            if len(batch.events) == 1:
                return [Failure.permanent(batch.events[0], error.code, error.detail)]
            first, second = batch.halves()
            return [*await self._send_batch(first), *await self._send_batch(second)]
        if not refused:
            return []
        judged = [(entry, *classify_entry(entry.name, sender_fault=entry.sender_fault)) for entry in refused]
        if len(judged) == len(batch.events) and all(kind is UnavailableError for _, kind, _ in judged):
            entry, _, code = judged[0]
            raise UnavailableError(code, f"{self._action}: {entry.name}")
        return [
            (Failure.permanent if kind is PermanentError else Failure.transient)(
                batch.events[entry.position], code, f"{entry.name}: {entry.message}"
            )
            for entry, kind, code in judged
        ]

    def _batches(self, events: Iterable[Event], failures: list[Failure]) -> list[_Batch]:
        """Make the messages, and requests of them, as full as they may be; one that cannot be made is a failure."""
        make, max_entries = self._make, self._max_entries
        batches: list[_Batch] = []
        filled = room = 0
        for event in events:
            try:
                message, size = make(event)
            except PermanentError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
                continue
            if not batches or filled == max_entries or size > room:
                batches.append(_Batch([], []))
                filled, room = 0, self._max_bytes
            batch = batches[-1]
            batch.events.append(event)
            batch.messages.append(message)
            filled += 1
            room -= size
        return batches


def _answered(events: Sequence[Event], failures: list[Failure], errors: Sequence[DeliveryError]) -> list[Failure]:
    if errors and len(failures) == len(events):  # nothing went through, so nothing is forgotten by raising
        raise next((error for error in errors if isinstance(error, UnavailableError)), errors[0])
    return failures
