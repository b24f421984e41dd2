"""Delivery: a batch is tried until each of its events is written, dead, or given up for now.

A batch that fails as a whole for a reason that may lie in one of its events is halved until single events stand
accused, so that one poison event never takes its neighbours along. If nothing of it goes through at all, nobody is
blamed: it is the plugin or the destination, and the fork halts.
"""

from __future__ import annotations

from forkstream.batcher import Batch
from forkstream.custody import Held
from forkstream.destination import Accused, Destination
from forkstream.errors import DeliveryError, PermanentError
from forkstream.trial import Trial


async def deliver(batch: Batch, to: Destination) -> None:
    """Bring every event of the batch to its landing; what is undecided on return is released by a drain."""
    await _Delivery(batch, to).run()


class _Delivery:
    def __init__(self, batch: Batch, to: Destination) -> None:
        self._to = to
        self._partition = batch.partition
        self._segments = [batch.held]
        self._suspects: list[Accused] = []
        self._proven = False  # has anything of this batch gone through?
        self._failed_groups: set[str | None] = set()

    async def run(self) -> None:
        while self._segments:
            held = self._in_order(self._segments.pop())
            if not held:
                continue
            trial = Trial(held, self._partition, self._to)
            error = await trial.run()
            self._proven |= trial.wrote
            self._failed_groups |= trial.failed_groups
            if error and len(held) > 1:
                middle = len(held) // 2
                self._segments += [held[middle:], held[:middle]]
            elif error:
                self._suspect(held[0], error)
        self._convict()

    def _suspect(self, held: Held, error: DeliveryError) -> None:
        self._suspects.append(Accused(held, error.code, error.detail))
        self._failed_groups.add(held.event.group)
        if len(self._suspects) > 1 and not self._proven:
            self._doubt(error)

    def _convict(self) -> None:
        if not self._suspects:
            return
        if self._proven or self._to.gate.accuse():
            self._to.bury(self._suspects)
        else:
            self._doubt(PermanentError(self._suspects[0].code, self._suspects[0].detail))

    def _doubt(self, error: DeliveryError) -> None:
        self._to.gate.halt(error)
        self._to.landing.again([one.held for one in self._suspects], error.code)
        self._suspects = []

    def _in_order(self, held: list[Held]) -> list[Held]:
        """Leave out what must not overtake an earlier event of its group: it comes again, behind that one."""
        if not self._to.ordered or not self._failed_groups:
            return held
        behind = [one for one in held if one.event.group in self._failed_groups]
        self._to.landing.again(behind, "behind")
        return [one for one in held if one.event.group not in self._failed_groups]
