"""Redelivery: one batch of letters on its way to the sink, as a fork delivers, each decision told as it falls."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from forkstream.dlq.standing import Mark
from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.flow.aside import Aside
from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Accused, Destination
from forkstream.flow.flow import Flow
from forkstream.flow.gate import Gate, State
from forkstream.flow.writers import Writer


class Decision(msgspec.Struct, frozen=True):
    """What became of one letter; ``mark`` is None if it was never attempted. ``detail`` may quote the event."""

    held: Held
    mark: Mark | None
    code: str = ""
    detail: str = ""


Note = Callable[[Sequence[Decision]], Awaitable[None]]


class Redelivery:
    """Delivers with the fork's own retries. After ``run``, ``trouble`` is why no further batch should be begun, if so."""

    def __init__(self, flow: Flow, writer: Writer, note: Note, on_trouble: Callable[[str], None]) -> None:
        self.trouble: DeliveryError | None = None
        self._flow = flow
        self._writer = writer
        self._note = note
        self._on_trouble = on_trouble
        self._gate = _Impatient()
        self._send: MemoryObjectSendStream[list[Decision]]
        self._undecided: set[Held] = set()

    async def run(self, batch: Batch) -> None:
        """Deliver; each letter of the batch is decided, and that is noted, when this returns."""
        self._undecided = set(batch.held)
        self._send, decided = anyio.create_memory_object_stream[list[Decision]](math.inf)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._note_all, decided)
            with self._send:
                await deliver(batch, self._destination())
                if self._gate.state is State.PROBING and self._gate.trouble and not self.trouble:
                    self.trouble = TransientError(self._gate.trouble.code)
                code = self.trouble.code if self.trouble else ""
                self._decide([Decision(held, Mark.FAILED, code) for held in [*self._undecided]])

    # Landing.

    def written(self, held: Sequence[Held]) -> None:
        self._decide([Decision(one, Mark.SENT) for one in held])

    def dead(self, accused: Sequence[Accused]) -> None:
        self._decide([Decision(one.held, Mark.FAILED, one.code, one.detail) for one in accused])

    def again(self, held: Sequence[Held], code: str) -> None:
        self._decide([Decision(one, Mark.FAILED, code) for one in held])

    def _decide(self, decisions: list[Decision]) -> None:
        self._undecided -= {decision.held for decision in decisions}
        if decisions:
            self._send.send_nowait(decisions)

    async def _note_all(self, decided: MemoryObjectReceiveStream[list[Decision]]) -> None:
        with decided:
            async for decisions in decided:
                await self._note(decisions)

    def _failed(self, error: DeliveryError, _events: int) -> None:
        self._on_trouble(error.code)
        if isinstance(error, UnavailableError):
            self.trouble = error
            self._gate.drain()  # somebody has to mend it, and this command does not wait for that

    def _destination(self) -> Destination:
        return Destination(
            writer=self._writer,
            gate=self._gate,
            aside=Aside(self._gate),
            retry=self._flow.retry,
            landing=self,
            on_failure=self._failed,
            ordered=self._flow.source.ordered,
        )


class _Impatient(Gate):
    """A gate without pauses: letters are suspects each, so two that fail alike are no reason to doubt the destination."""

    BACKOFF = (0.0, 0.0)
