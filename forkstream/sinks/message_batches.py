"""Messages sent in batches of AWS's size, each event answered for by itself, in order where an order is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from forkstream.aws.concurrently import concurrently
from forkstream.aws.errors import classify_entry
from forkstream.aws.queue import EntryFailure, OutgoingMessage
from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.event import Event, Failure

_CALLS_AT_ONCE = 16


class _Outgoing(msgspec.Struct, frozen=True):
    event: Event
    message: OutgoingMessage
    size: int


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
        outgoing: list[_Outgoing] = []
        for event in events:
            try:
                outgoing.append(_Outgoing(event, *self._make(event)))
            except PermanentError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
        batches = list(self._batches(outgoing))
        outcomes = await concurrently(self._send_batch, batches, at_once=_CALLS_AT_ONCE)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, DeliveryError):
                errors.append(outcome)
                failures += [Failure.transient(one.event, outcome.code, outcome.detail) for one in batch]
            else:
                failures += outcome
        return failures, errors

    async def _send_batch(self, batch: Sequence[_Outgoing]) -> list[Failure]:
        """Send one request. One that is refused for its content is halved until single messages stand accused."""
        try:
            refused = await self._send_messages([one.message for one in batch])
        except PermanentError as error:
            if len(batch) == 1:
                return [Failure.permanent(batch[0].event, error.code, error.detail)]
            half = len(batch) // 2
            return [*await self._send_batch(batch[:half]), *await self._send_batch(batch[half:])]
        judged = [(entry, *classify_entry(entry.name, sender_fault=entry.sender_fault)) for entry in refused]
        if len(judged) == len(batch) and all(kind is UnavailableError for _, kind, _ in judged):
            entry, _, code = judged[0]
            raise UnavailableError(code, f"{self._action}: {entry.name}")
        return [
            (Failure.permanent if kind is PermanentError else Failure.transient)(
                batch[entry.position].event, code, f"{entry.name}: {entry.message}"
            )
            for entry, kind, code in judged
        ]

    def _batches(self, outgoing: Iterable[_Outgoing]) -> Iterator[list[_Outgoing]]:
        batch: list[_Outgoing] = []
        size = 0
        for one in outgoing:
            if batch and (len(batch) == self._max_entries or size + one.size > self._max_bytes):
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += one.size
        if batch:
            yield batch


def _answered(events: Sequence[Event], failures: list[Failure], errors: Sequence[DeliveryError]) -> list[Failure]:
    if errors and len(failures) == len(events):  # nothing went through, so nothing is forgotten by raising
        raise next((error for error in errors if isinstance(error, UnavailableError)), errors[0])
    return failures
