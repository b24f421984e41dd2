"""How many receives a fork has under way: one while there is little, as many as bring more while there is much."""

from __future__ import annotations

from typing import Final

import msgspec

from forkstream.flow.aimd import Aimd

_ANSWERS: Final = 16  # answers a judgement is based on at least, and four of each poller
_PROMPT: Final = 1.0  # seconds that a receive takes at most where something waits
_AS_FULL: Final = 0.8  # receives that are so full, measured by those before, say that as much waits as did then
_EMPTIER: Final = 0.6  # and these, that there are more pollers than events for them
_PAYS: Final = 0.4  # more pollers must bring so much of what they could bring at best
_COSTS: Final = 0.15  # and fewer may cost so much of what they could cost at worst
_REST: Final = (4, 64)  # judgements without a further trial, after one or many that did not pay


class _Trial(msgspec.Struct, frozen=True):
    """What more pollers are compared with."""

    pollers: int
    fill: float
    rate: float


class _Window(msgspec.Struct):
    """Answers that are judged together; those under way at the last change are left out."""

    began_at: float
    skipped: int = 0
    answers: int = 0
    events: int = 0
    asked: int = 0
    refused: bool = False


class Pollers:
    """Watches answered receives and finds how many should be under way. Pure: it is told the time.

    A queue answers with what a few of its servers hold, so that a receive may bring three of ten while thousands wait.
    How full receives come back says nothing by itself: that they stay as full with more pollers, and that more events
    come, says that more wait. That fill is remembered; far below it there are more pollers than events for them. So
    pollers are added while receives stay as full, until the budget refuses or throughput stops rising. An empty receive
    ends it all: one long poll at a time is what an idle fork costs.
    """

    def __init__(self, most: int) -> None:
        self._found = Aimd(1, 1, most, kept=0.75)
        self._backlog_fill: float | None = None
        self._trial: _Trial | None = None
        self._resting = 0
        self._rest = _REST[0]
        self._rest_fill = 0.0
        self._tries_fewer = False
        self._window = _Window(0.0)

    @property
    def count(self) -> int:
        """How many receives may be under way."""
        return self._found.limit

    @property
    def reason(self) -> str:
        """Why it is not another number."""
        return self._found.reason

    def answered(self, events: int, limit: int, now: float, *, refused: bool) -> None:
        """A receive was answered with so many events, of at most ``limit``; ``refused`` if the budget has no room for more."""
        window = self._window
        if not events:
            self._found.set(1, "empty")
            self._trial, self._window = None, _Window(now)
            return
        if window.skipped < self.count:  # these were asked for before the last change
            window.skipped += 1
            window.began_at = now
            return
        window.answers += 1
        window.events += events
        window.asked += limit
        window.refused |= refused
        if window.answers >= max(_ANSWERS, 4 * self.count) and now > window.began_at:
            self._judge(window, now - window.began_at)
            self._window = _Window(now)

    def _judge(self, window: _Window, seconds: float) -> None:
        if seconds * self.count > window.answers * _PROMPT:  # they wait for events, not events for them
            self._found.set(1, "not_full")
            self._trial = None
            return
        fill, rate = window.events / window.asked, window.events / seconds
        if self._trial and not self._proved(self._trial, fill, rate):
            return
        waits = self._backlog_fill
        if window.refused:
            self._found.reason = "budget"
        elif waits is not None and fill < _EMPTIER * waits and self.count > 1:
            self._found.cut("not_full")
        elif self._resting and fill < 2 * self._rest_fill:
            self._resting -= 1
        elif waits is None or fill >= _AS_FULL * waits or self.count == 1:
            trial = _Trial(self.count, fill, rate)
            changed = (
                self._found.cut("throughput")
                if self._tries_fewer and self.count > 1
                else self._found.raise_by(max(1, self.count // 2), "full")
            )
            self._trial = trial if changed else None

    def _proved(self, trial: _Trial, fill: float, rate: float) -> bool:
        """Tell whether another number of pollers was worth it; if not, there are as many as before.

        Where more brought no more, fewer are tried next: they may bring as many.
        """
        self._trial = None
        fewer = self.count < trial.pollers
        emptier = fill < _AS_FULL * trial.fill
        if rate >= trial.rate * (1 + (_COSTS if fewer else _PAYS) * (self.count / trial.pollers - 1)):
            self._rest = _REST[0]
            self._tries_fewer = fewer
            if not emptier and not fewer:
                self._backlog_fill = fill if self._backlog_fill is None else (self._backlog_fill + fill) / 2
            return True
        if emptier and not fewer and self._backlog_fill is not None and trial.pollers > 1:
            return True  # all that waited came: whether that are too many now is told by the fill
        self._tries_fewer = not fewer and not emptier
        self._found.set(trial.pollers, "not_full" if emptier else "throughput")
        self._resting, self._rest, self._rest_fill = self._rest, min(2 * self._rest, _REST[1]), trial.fill
        return False
