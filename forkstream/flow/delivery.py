"""Delivery: a batch is tried until each of its events is written, dead, or given up for now.

A batch that fails as a whole for a reason that may lie in one of its events is halved until single events stand
accused, so that one poison event never takes its neighbours along. If nothing of it goes through at all, nobody is
blamed: it is the plugin or the destination, the fork halts, and the accused are held and heard again.
"""

from __future__ import annotations

from collections.abc import Sequence

from forkstream.errors import DeliveryError, PermanentError
from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held
from forkstream.flow.destination import Accused, Destination
from forkstream.flow.gate import TOO_MANY_DEAD
from forkstream.flow.patience import Patience
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
        self._patience = Patience(to.gate, to.retry, batch.held)
        self._place = to.aside.place()
        self._later: list[list[Held]] = []  # accused, but nobody is blamed: heard again when all others were
        self._pause = 0.0

    async def run(self) -> None:
        with self._place:
            await self._hear()
            self._convict()
            while self._later:
                self._place.take()
                await self._rest()
                later, self._later = self._later, []
                if self._place.leaves:
                    self._to.landing.again([one for held in later for one in held], TOO_MANY_DEAD)
                    return
                self._segments, self._failed_groups = later[::-1], set()
                await self._hear()
                self._convict()

    async def _rest(self) -> None:
        until = min(self._patience.hold_ends(held) for held in self._later)
        await self._to.rest(self._place.rest(self._pause, until))
        while not self._place.goes(until):  # it was, before this had its slot
            await self._to.rest(self._place.line_up(until))

    async def _hear(self) -> None:
        while self._segments:
            held = self._in_order(self._segments.pop())
            if held:
                await self._try(held)
        if self._early and self._proven:
            # one event, accused before anything went through: the destination may have been mended since
            early, self._early = self._early, []
            await self._try([one.held for one in early])

    async def _try(self, held: list[Held]) -> None:
        trial = Trial(held, self._partition, self._to, self._place)
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
        self._failed_groups.add(accused.held.group)
        if self._proven:
            self._guilty.append(accused)
            return
        self._early.append(accused)
        if len(self._early) > 1:
            self._doubt(error)

    def _convict(self) -> None:
        if self._early and not self._to.gate.accuse():
            self._doubt(PermanentError(self._early[0].code))
        guilty = self._guilty + self._early
        self._guilty, self._early = [], []
        if guilty and not self._to.bury(guilty) and not self._hear_again(guilty, PermanentError(TOO_MANY_DEAD)):
            gone = self._to.bury_refused(guilty) if self._to.gate.patient else set()
            self._to.landing.again([one.held for one in guilty if one.held not in gone], TOO_MANY_DEAD)

    def _doubt(self, error: DeliveryError) -> None:
        """Nothing goes through and two fail: that is the plugin or the destination, so nobody is blamed."""
        self._to.gate.halt(error)
        early, self._early = self._early, []
        if not self._hear_again(early, error):
            self._to.landing.again([one.held for one in early], error.code)

    def _hear_again(self, accused: Sequence[Accused], error: DeliveryError) -> bool:
        """Hold these to try them again, while patience lasts: given back at once, they would be received at once."""
        held = [one.held for one in accused]
        if not self._to.gate.patient:
            return False
        pause = self._patience.pause(error, held)
        if pause is None:
            self._patience.end(error)
            return False
        self._pause = pause
        self._later.append(held)
        return True

    def _in_order(self, held: list[Held]) -> list[Held]:
        """Leave out what must not overtake an earlier event of its group: it comes again, behind that one."""
        if not self._to.ordered or not self._failed_groups:
            return held
        behind = [one for one in held if one.group in self._failed_groups]
        self._to.landing.again(behind, "behind")
        return [one for one in held if one.group not in self._failed_groups]
