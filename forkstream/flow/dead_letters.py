"""Dead letters on their way: events that will never go through, written where a person can mend them.

A letter is durable before its event is deleted. Its destination has a gate of its own: while it cannot be used, the
dead wait in the fork's budget and the living go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import anyio

from forkstream.backoff import redelivery_delay
from forkstream.errors import WISHES_TO_END, DeliveryError, as_delivery_error
from forkstream.flow.aside import Aside
from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held, Outcome
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Accused, Destination, RetryPolicy
from forkstream.flow.gate import Gate
from forkstream.flow.loop_time import loop_time
from forkstream.flow.settlement import Settlement
from forkstream.flow.writers import Writer
from forkstream.letters import letter_of

MAX_LETTERS = 1000
"""Letters written at once at most: those that gather while an earlier write is under way."""


class DeadLetters:
    """Writes letters one group at a time; what piles up meanwhile goes together."""

    def __init__(
        self,
        fork: str,
        writer: Writer,
        partition: Callable[[Held], str],
        settlement: Settlement,
        *,
        retry: RetryPolicy,
        on_failure: Callable[[DeliveryError, int], None],
        on_retry: Callable[[DeliveryError], None] = lambda _: None,
    ) -> None:
        self._fork = fork
        self._partition = partition
        self._dead_send, self._dead = anyio.create_memory_object_stream[list[Held]](math.inf)
        gate = Gate()
        self._destination = Destination(
            writer=writer,
            gate=gate,
            aside=Aside(gate),
            retry=retry,
            landing=_Graveyard(settlement),
            on_failure=on_failure,
            on_retry=on_retry,
        )

    @property
    def gate(self) -> Gate:
        """Whether letters can be written."""
        return self._destination.gate

    def bury(self, accused: Sequence[Accused], step: str) -> None:
        """Take events that failed at ``step``; each becomes its letter, and is settled once that is durable."""
        dead = []
        for one in accused:
            # it was one of the fork's destination, not of this one, where no other is tried beside it
            one.held.receive.is_probe = False
            # a detail is whatever the plugin had at hand: an exception, half of a character
            detail = str(one.detail).encode(errors="backslashreplace").decode()
            try:
                letter = letter_of(one.held.event, fork=self._fork, step=step, code=one.code, detail=detail)
                one.held.event = one.held.event.with_(body=letter.encode())
                one.held.partition = self._partition(one.held)
            except WISHES_TO_END:
                raise
            except BaseException as raised:  # noqa: BLE001  # this event has no letter; the others do
                self._refused(one.held, as_delivery_error(raised))
            else:
                dead.append(one.held)
        if dead:
            self._dead_send.send_nowait(dead)

    def close(self) -> None:
        """No more letters: ``run`` returns once those taken are written."""
        self._dead_send.close()

    def end(self) -> None:
        """Let go of letters that nobody will write: their events come again."""
        self._dead_send.close()
        self._dead.close()

    async def run(self) -> None:
        """Write letters until ``close``."""
        async for first in self._dead:
            dead = [*first]
            while len(dead) < MAX_LETTERS and self._dead.statistics().current_buffer_used:
                dead += self._dead.receive_nowait()
            await self._write(dead)

    async def _write(self, dead: list[Held]) -> None:
        batches: dict[str, Batch] = {}
        for held in dead:
            batch = batches.setdefault(held.partition, Batch(held.partition, loop_time()))
            batch.held.append(held)
        for batch in batches.values():
            await deliver(batch, self._destination)

    def _refused(self, held: Held, error: DeliveryError) -> None:
        self._destination.on_failure(error, 1)
        self._destination.landing.again([held], error.code)


class _Graveyard:
    """Where letters land: written, the event is dead; a letter that can't be written leaves its event with the queue."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    def written(self, held: Sequence[Held]) -> None:
        self._settlement.delete(held, Outcome.DEAD)

    def dead(self, accused: Sequence[Accused]) -> None:
        self.again([one.held for one in accused], "dead_letter_failed")

    def again(self, held: Sequence[Held], code: str) -> None:  # noqa: ARG002  # counted where it failed
        self._settlement.show_again(held, lambda one: redelivery_delay(one.receives))
