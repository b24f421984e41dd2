"""One outlet of a rehearsal: events are batched and delivered once, and it is noted where each of them lands."""

from __future__ import annotations

from collections.abc import Sequence

from forkstream.errors import DeliveryError, TransientError, UnexpectedError, as_delivery_error
from forkstream.flow.aside import Aside
from forkstream.flow.batcher import Batch, Batcher, CloseReason, Limits
from forkstream.flow.custody import Held
from forkstream.flow.delivery import deliver
from forkstream.flow.destination import Accused, Destination, RetryPolicy
from forkstream.flow.gate import Gate
from forkstream.flow.outlet import Outlet
from forkstream.flow.writers import EventWriter, ObjectWriter, Writer
from forkstream.ports import EventSink
from forkstream.rehearsal.recorder import EventRecorder, ObjectRecorder
from forkstream.rehearsal.strict import StrictObjectStage


class OutletTrial:
    """Afterwards ``recorder`` holds what the sink took, ``done``, ``accused`` and ``kept`` where the events are."""

    def __init__(self, fork: str, outlet: Outlet, limits: Limits, *, pretend: bool) -> None:
        self.recorder: EventRecorder | ObjectRecorder
        self.done: list[Held] = []
        self.accused: list[Accused] = []
        self.kept: list[tuple[Held, DeliveryError]] = []
        self.places: dict[tuple[str, str], str] = {}
        """Where each bug is, by its code and detail: an accused event brings no more than these."""
        self._limits = limits
        self._writer: Writer
        self._last_error = DeliveryError("undecided")
        if isinstance(outlet.sink, EventSink):
            self.recorder = EventRecorder(outlet.sink, pretend=pretend)
            self._writer = EventWriter(self.recorder, 1)
        else:
            self.recorder = ObjectRecorder(outlet.sink, pretend=pretend)
            self._writer = ObjectWriter(
                fork,
                self.recorder,
                render=outlet.render,
                suffix=outlet.suffix,
                stages=[StrictObjectStage(stage) for stage in outlet.stages],
            )

    async def run(self, held: Sequence[Held]) -> None:
        """Deliver batch by batch, in order; each event lands exactly once."""
        batcher = Batcher(self._limits)
        batches: list[Batch] = []
        for one in held:
            try:
                partition = self.recorder.partition(one.event)
            except Exception as raised:  # noqa: BLE001  # accuses this event alone
                error = as_delivery_error(raised)
                self._note(error, 1)
                self.accused.append(Accused(one, error.code, error.detail))
            else:
                batches += batcher.add(one, partition, 0.0)
        for batch in [*batches, *batcher.close_all(CloseReason.DRAIN)]:
            await self._deliver(batch)

    async def _deliver(self, batch: Batch) -> None:
        gate = Gate()  # of its own: what happens to one batch decides nothing for the next
        gate.drain()  # and nobody waits for better times
        destination = Destination(
            writer=self._writer,
            gate=gate,
            aside=Aside(gate),
            retry=RetryPolicy(max_elapsed=0.0),
            landing=self,
            on_failure=self._note,
            ordered=self.recorder.ordered if isinstance(self.recorder, EventRecorder) else False,
        )
        await deliver(batch, destination)
        landed = {*self.done, *(one.held for one in self.accused), *(one for one, _ in self.kept)}
        self.kept += [(one, self._last_error) for one in batch.held if one not in landed]

    # Landing

    def written(self, held: Sequence[Held]) -> None:
        self.done += held

    def dead(self, accused: Sequence[Accused]) -> None:
        self.accused += accused

    def again(self, held: Sequence[Held], code: str) -> None:
        self.kept += [(one, self._error_of(one, code)) for one in held]

    def _error_of(self, held: Held, code: str) -> DeliveryError:
        """Find what the sink said of this event itself, or else of its batch."""
        failures = self.recorder.failures if isinstance(self.recorder, EventRecorder) else {}
        if held.event in failures:
            return TransientError(failures[held.event].code, failures[held.event].detail)
        return self._last_error if self._last_error.code == code else TransientError(code)

    def _note(self, error: DeliveryError, events: int) -> None:  # noqa: ARG002  # whose it is, the landing tells
        self._last_error = error
        if isinstance(error, UnexpectedError):
            self.places[error.code, error.detail] = error.place
