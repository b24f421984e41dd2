"""Delivery: a batch is tried until each of its events is written, dead, or given up for now.

A batch that fails as a whole for a reason that may lie in one of its events is halved until single events stand
accused, so that one poison event never takes its neighbours along. If nothing of it goes through at all, nobody is
blamed: it is the plugin or the destination, and the fork halts.
"""

from __future__ import annotations

from forkstream.errors import DeliveryError, PermanentError
from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held
from forkstream.flow.destination import Accused, Destination
from forkstream.flow.trial import Trial


async def deliver(batch: Batch, to: Destination) -> None:
    """Bring every event of the batch to its landing; what is undecided on return is released by a drain."""
    await _Delivery(batch, to).run()


class _Delivery:
    def __init__(self, batch: Batch, to: Destination) -> None:
        self._to = to
        self._partition = batch.partition
        self._segments = [batch.held]
        self._early: list[Accused] = []  # accused while nothing had gone through
        self._guilty: list[Accused] = []
        self._proven = False  # has anything of this batch gone through?
        self._failed_groups: set[str | None] = set()

    async def run(self) -> None:
        while self._segments:
            held = self._in_order(self._segments.pop())
            if held:
                await self._try(held)
        if self._early and self._proven:
            # accused before anything went through: the destination may have been mended since, so hear it again
            early, self._early = self._early, []
            await self._try([one.held for one in early])
        self._convict()

    async def _try(self, held: list[Held]) -> None:
        trial = Trial(held, self._partition, self._to)
        error = await trial.run()
        self._proven |= trial.wrote
        self._failed_groups |= trial.failed_groups
        left = trial.left
        if error and len(left) > 1:
            middle = len(left) // 2
            self._segments += [left[middle:], left[:middle]]
        elif error:
            self._suspect(Accused(left[0], error.code, error.detail), error)

    def _suspect(self, accused: Accused, error: DeliveryError) -> None:
        self._failed_groups.add(accused.held.event.group)
        if self._proven:
            self._guilty.append(accused)
            return
        self._early.append(accused)
        if len(self._early) > 1:
            self._doubt(error)

    def _convict(self) -> None:
        if self._early and not self._to.gate.accuse():
            self._doubt(PermanentError(self._early[0].code, self._early[0].detail))
        self._guilty += self._early
        if self._guilty:
            self._to.bury(self._guilty)

    def _doubt(self, error: DeliveryError) -> None:
        """Nothing goes through and two fail: that is the plugin or the destination, so nobody is blamed."""
        self._to.gate.halt(error)
        self._to.landing.again([one.held for one in self._early], error.code)
        self._early = []

    def _in_order(self, held: list[Held]) -> list[Held]:
        """Leave out what must not overtake an earlier event of its group: it comes again, behind that one."""
        if not self._to.ordered or not self._failed_groups:
            return held
        behind = [one for one in held if one.event.group in self._failed_groups]
        self._to.landing.again(behind, "behind")
        return [one for one in held if one.event.group not in self._failed_groups]
