"""Dead letters on their way: events that will never go through, written where a person can mend them.

A letter is durable before its event is deleted. Its destination has a gate of its own: while it cannot be used, the
dead wait in the fork's budget and the living go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import anyio

from forkstream.errors import DeliveryError
from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held, Outcome
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Accused, Destination, RetryPolicy
from forkstream.flow.gate import Gate
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
        again: Callable[[Sequence[Held], str], None],
        on_failure: Callable[[DeliveryError, int], None],
    ) -> None:
        self._fork = fork
        self._partition = partition
        self._again = again
        self._dead_send, self._dead = anyio.create_memory_object_stream[list[Held]](math.inf)
        self._destination = Destination(
            writer=writer, gate=Gate(), retry=retry, landing=_Graveyard(settlement, again), on_failure=on_failure
        )

    @property
    def gate(self) -> Gate:
        """Whether letters can be written."""
        return self._destination.gate

    def bury(self, accused: Sequence[Accused], step: str) -> None:
        """Take events that failed at ``step``; each becomes its letter, and is settled once that is durable."""
        for one in accused:
            letter = letter_of(one.held.event, fork=self._fork, step=step, code=one.code, detail=one.detail)
            one.held.event = one.held.event.with_(body=letter.encode())
        self._dead_send.send_nowait([one.held for one in accused])

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
            partition = self._partition(held)
            batches.setdefault(partition, Batch(partition, anyio.current_time())).held.append(held)
        for batch in batches.values():
            await deliver(batch, self._destination)


class _Graveyard:
    """Where letters land: written, the event is dead; a letter that can't be written leaves its event with the queue."""

    def __init__(self, settlement: Settlement, again: Callable[[Sequence[Held], str], None]) -> None:
        self._settlement = settlement
        self.again = again

    def written(self, held: Sequence[Held]) -> None:
        self._settlement.delete(held, Outcome.DEAD)

    def dead(self, accused: Sequence[Accused]) -> None:
        self.again([one.held for one in accused], "dead_letter_failed")
